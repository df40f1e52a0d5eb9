/** Interleaved measurement: in every round each operation is timed in turn for a copy of the same bytes and for each contender. */

import type { Operation } from '../cpu/problem';
import { median, type Summary, summarize } from '../cpu/statistics';
import { type Contender, reasonOf } from './contenders';
import type { Fused } from './networks';
import { fewestBytes, type GpuProblem } from './problem';

/** Whether the data lies outside of the L2 cache at first, or in it as far as it fits. */
export type Cache = 'cold' | 'warm';
export const CACHES: readonly Cache[] = ['cold', 'warm'];

export interface Time {
  contender: string;
  seconds: Summary;
}

export interface Failure {
  contender: string;
  reason: string;
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
  failures: Failure[];
}

export interface ProblemResult extends GpuProblem {
  cells: Cell[];
}

/** What takes the time of a call. */
export interface Timer {
  cold(call: () => void): Promise<number>;
  warm(call: () => void, calls: number): Promise<number>;
}

export interface Options {
  operations: readonly Operation[];
  rounds: number;
  /** The most calls back to back where the cache is warm. */
  calls: number;
}

/** How long calls back to back should take together: enough for the clock, which ticks in half microseconds. */
const WARM_SECONDS = 3e-4;

export const warmCalls = (copySeconds: number, most: number): number =>
  Math.min(most, Math.max(2, Math.ceil(WARM_SECONDS / copySeconds) || 2));

interface Series {
  contender: string;
  call: () => void;
  seconds: number[];
  failure: string | null;
}

interface OpenCell {
  cell: Cell;
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
  { operations, rounds, calls }: Options,
): Promise<Cell[]> {
  const open = operations.flatMap((operation) => CACHES.map((cache) => openCell(problem, operation, fused, cache, contenders, copy)));
  for (let round = 0; round < rounds; ++round) {
    for (const { cell, copy, contenders } of open) {
      for (const series of [copy, ...contenders]) await sample(series, cell.cache, timer, warmCalls(median(copy.seconds), calls));
    }
  }
  return open.map(toCell);
}

function openCell(
  problem: GpuProblem,
  operation: Operation,
  fused: Fused,
  cache: Cache,
  contenders: readonly Contender[],
  copy: (bytes: number) => () => void,
): OpenCell {
  const bytes = fewestBytes(problem, operation, fused);
  const series = (contender: string, call: () => void): Series => ({ contender, call, seconds: [], failure: null });
  return {
    cell: { operation, fused, cache, bytes, copySeconds: summarize([]), times: [], failures: failuresOf(contenders, operation) },
    copy: series('copy', copy(bytes)),
    contenders: contenders.flatMap(({ name, calls }) => (calls.has(operation) ? series(name, calls.get(operation)!) : [])),
  };
}

const failuresOf = (contenders: readonly Contender[], operation: Operation): Failure[] =>
  contenders.flatMap(({ name, failures }) => (failures.has(operation) ? { contender: name, reason: failures.get(operation)! } : []));

/** A contender that fails is not asked again. */
async function sample(series: Series, cache: Cache, timer: Timer, calls: number): Promise<void> {
  if (series.failure !== null) return;
  try {
    series.seconds.push(await (cache === 'cold' ? timer.cold(series.call) : timer.warm(series.call, calls)));
  } catch (error) {
    series.failure = reasonOf(error);
  }
}

function toCell({ cell, copy, contenders }: OpenCell): Cell {
  const failed = contenders.flatMap(({ contender, failure }) => (failure === null ? [] : { contender, reason: failure }));
  const measured = contenders.filter(({ failure }) => failure === null);
  return {
    ...cell,
    copySeconds: summarize(copy.seconds),
    times: measured.map(({ contender, seconds }) => ({ contender, seconds: summarize(seconds) })),
    failures: [...cell.failures, ...failed],
  };
}
