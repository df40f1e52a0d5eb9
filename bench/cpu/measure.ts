/** Interleaved measurement: every burst of a contender follows a burst of plain copies of the same tensor. */

import { setTimeout } from 'node:timers/promises';
import { type Contender, type Prepared, warmUp } from './contender';
import type { Copy } from './helper';
import { copyBytes, fewestBytes, OPERATIONS, type Operation, type Problem, target } from './problem';
import { median, type Summary, summarize } from './statistics';

export interface Result {
  implementation: string;
  operation: Operation;
  seconds: Summary;
  /** The median, over rounds, of the time in multiples of the copy measured just before. */
  copies: number;
  /** Of several launches: the `copies` of each, whose median `copies` is. */
  copiesOfLaunches?: number[];
  /** Of the floors only: how they moved the bytes. */
  way?: string;
  /** Of ours only: the most `copies` may be, and whether it is not more. */
  target?: number;
  met?: boolean;
  /** Of ours only, where the floors are measured: their `copies`. */
  floor?: number;
  arithmeticFloor?: number;
}

export interface ProblemResult extends Problem {
  /** Bytes a plain copy of the tensor reads and writes. */
  copyBytes: number;
  copySeconds: Summary;
  fewestBytes: Record<Operation, number>;
  results: Result[];
}

export interface Options {
  rounds: number;
  /** How long a burst should last; a slow contender's lasts one call. */
  burstSeconds: number;
  /** Whose results are held against the targets, and against those of which floors, without arithmetic and with it. */
  ours: string;
  floor: string;
  arithmetic: string;
  onRound?: () => void;
}

interface Series {
  implementation: string;
  operation: Operation;
  prepared: Prepared;
  calls: number;
  seconds: number[];
  copies: number[];
}

const MOST_CALLS = 1000;
/** Threads of the contender before may spin for some milliseconds after their work is done, and would slow the copy. */
const SETTLE_MILLISECONDS = 20;

/** Calls that fill a burst. The first ones, which wake threads and fill caches, say little of that. */
async function callsFor(burst: (calls: number) => Promise<number>, burstSeconds: number): Promise<number> {
  let calls = 1;
  for (let i = 0; i < 2; i++) calls = Math.min(MOST_CALLS, Math.max(1, Math.round(burstSeconds / (await burst(calls)))));
  return calls;
}

/** Calls each operation for a while, on a problem that takes no time. */
export async function warmUpContender(contender: Contender, seconds: number): Promise<void> {
  const prepared = await contender.prepare({ shape: [2, 8, 2, 2], layout: 'channels first' });
  for (const operation of contender.operations) await warmUp(seconds, () => prepared.burst(operation, MOST_CALLS));
  await prepared.release();
}

export async function measure(problem: Problem, contenders: readonly Contender[], copy: Copy, options: Options): Promise<ProblemResult> {
  const prepared: Prepared[] = [];
  const series: Series[] = [];
  for (const contender of contenders) {
    const own = await contender.prepare(problem);
    prepared.push(own);
    for (const operation of contender.operations) {
      const calls = await callsFor((count) => own.burst(operation, count), options.burstSeconds);
      series.push({ implementation: contender.name, operation, prepared: own, calls, seconds: [], copies: [] });
    }
  }
  const copyCalls = await callsFor((count) => copy.burst(problem, count), options.burstSeconds);
  const copySeconds: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const { operation, prepared: own, calls, seconds, copies } of series) {
      await setTimeout(SETTLE_MILLISECONDS);
      const yardstick = await copy.burst(problem, copyCalls);
      const time = await own.burst(operation, calls);
      copySeconds.push(yardstick);
      seconds.push(time);
      copies.push(time / yardstick);
    }
    options.onRound?.();
  }
  for (const own of prepared) await own.release();

  return {
    ...problem,
    copyBytes: copyBytes(problem),
    copySeconds: summarize(copySeconds),
    fewestBytes: Object.fromEntries(OPERATIONS.map((operation) => [operation, fewestBytes(problem, operation)])) as Record<
      Operation,
      number
    >,
    results: OPERATIONS.flatMap((operation) =>
      series.filter((one) => one.operation === operation).map((one) => toResult(problem, one, series, options)),
    ),
  };
}

function toResult(problem: Problem, one: Series, all: readonly Series[], { ours, floor, arithmetic }: Options): Result {
  const { implementation, operation, seconds, prepared } = one;
  const copies = median(one.copies);
  const way = prepared.way?.(operation);
  const result = { implementation, operation, seconds: summarize(seconds), copies, ...(way && { way }) };
  if (implementation !== ours) return result;
  const copiesOf = (name: string) => {
    const series = all.find((other) => other.implementation === name && other.operation === operation);
    return series && median(series.copies);
  };
  const most = target(problem, operation);
  const bare = copiesOf(floor);
  const computing = copiesOf(arithmetic);
  return {
    ...result,
    target: most,
    met: copies <= most,
    ...(bare !== undefined && { floor: bare }),
    ...(computing !== undefined && { arithmeticFloor: computing }),
  };
}
