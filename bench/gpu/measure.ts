/** Interleaved measurement: in every round each operation is timed in turn for a copy of the same bytes and for each contender. */

import type { Operation } from '../cpu/problem';
import { median, type Summary, summarize } from '../cpu/statistics';
import type { Contender } from './contenders';
import type { OnFailure } from './failures';
import type { Fused } from './networks';
import { caseName, fewestBytes, type GpuProblem } from './problem';
import type { Watch } from './watchdog';

/** Whether the data lies outside of the L2 cache at first, or in it as far as it fits. */
export type Cache = 'cold' | 'warm';
export const CACHES: readonly Cache[] = ['cold', 'warm'];

export interface Time {
  contender: string;
  seconds: Summary;
}

/** An operation in one state of the cache, and everybody's times for it. */
export interface Cell {
  operation: Operation;
  fused: Fused;
  cache: Cache;
  /** The fewest that the operation moves: what the copy moves. */
  bytes: number;
  copySeconds: Summary;
  times: Time[];
}

export interface ProblemResult extends GpuProblem {
  cells: Cell[];
}

/** What takes the time of a call. */
export interface Timer {
  /** Before the samples of something: the GPU may have been idle. */
  wake(): Promise<void>;
  cold(call: () => void): Promise<number>;
  warm(call: () => void, calls: number): Promise<number>;
}

export interface Options {
  operations: readonly Operation[];
  rounds: number;
  /** The most calls back to back where the cache is warm. */
  calls: number;
  onFailure: OnFailure;
  watch: Watch;
}

/** How long calls back to back should take together: enough for the clock, which ticks in half microseconds. */
const WARM_SECONDS = 3e-4;

export const warmCalls = (copySeconds: number, most: number): number =>
  Math.min(most, Math.max(2, Math.ceil(WARM_SECONDS / copySeconds) || 2));

interface Series {
  contender: string;
  call: () => void;
  seconds: number[];
}

interface OpenCell extends Pick<Cell, 'operation' | 'fused' | 'cache' | 'bytes'> {
  copy: Series;
  contenders: Series[];
}

/** `copy` gives a call that copies so many bytes. */
export async function measure(
  problem: GpuProblem,
  fused: Fused,
  contenders: readonly Contender[],
  copy: (bytes: number) => () => void,
  timer: Timer,
  { operations, rounds, calls, onFailure, watch }: Options,
): Promise<Cell[]> {
  const cells = operations.flatMap((operation) =>
    CACHES.map((cache) => openCell(operation, fused, cache, fewestBytes(problem, operation, fused), contenders, copy)),
  );
  await timer.wake();
  for (let round = 0; round < rounds; ++round) {
    for (const cell of cells) {
      const where = caseName(problem, cell.operation, fused);
      await watch('copy', where, () => sample(cell.copy, cell.cache, timer, calls));
      for (const series of [...cell.contenders]) {
        try {
          const most = warmCalls(median(cell.copy.seconds), calls);
          await watch(series.contender, where, () => sample(series, cell.cache, timer, most));
        } catch (error) {
          onFailure(series.contender, error, where);
          cell.contenders.splice(cell.contenders.indexOf(series), 1); // it is not asked again
        }
      }
    }
  }
  return cells.map(toCell);
}

function openCell(
  operation: Operation,
  fused: Fused,
  cache: Cache,
  bytes: number,
  contenders: readonly Contender[],
  copy: (bytes: number) => () => void,
): OpenCell {
  const series = (contender: string, call: () => void): Series => ({ contender, call, seconds: [] });
  return {
    operation,
    fused,
    cache,
    bytes,
    copy: series('copy', copy(bytes)),
    contenders: contenders.flatMap(({ name, calls }) => (calls.has(operation) ? series(name, calls.get(operation)!) : [])),
  };
}

async function sample({ call, seconds }: Series, cache: Cache, timer: Timer, calls: number): Promise<void> {
  seconds.push(await (cache === 'cold' ? timer.cold(call) : timer.warm(call, calls)));
}

const toCell = ({ copy, contenders, ...cell }: OpenCell): Cell => ({
  ...cell,
  copySeconds: summarize(copy.seconds),
  times: contenders.map(({ contender, seconds }) => ({ contender, seconds: summarize(seconds) })),
});
