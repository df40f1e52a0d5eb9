/** Interleaved measurement: every sample of an operation follows one of a copy that moves the same bytes. */

import { OPERATIONS, type Operation } from '../cpu/problem';
import { median, type Summary, summarize } from '../cpu/statistics';
import type { Calls } from './ours';
import { fewestBytes, type GpuProblem } from './problem';

/** Whether the data lies outside of the L2 cache at first, or in it as far as it fits. */
export type Cache = 'cold' | 'warm';
export const CACHES: readonly Cache[] = ['cold', 'warm'];

export interface Result {
  operation: Operation;
  cache: Cache;
  /** The fewest that the operation moves: what the copy beside it moves. */
  bytes: number;
  seconds: Summary;
  copySeconds: Summary;
  /** Of the medians. */
  bytesPerSecond: number;
  copyBytesPerSecond: number;
  /** The median, over rounds, of the time in multiples of the copy's just before. */
  copies: number;
}

export interface ProblemResult extends GpuProblem {
  results: Result[];
}

/** What takes the time of a call. */
export interface Timer {
  cold(call: () => void): Promise<number>;
  warm(call: () => void, calls: number): Promise<number>;
}

interface Series {
  operation: Operation;
  cache: Cache;
  seconds: number[];
  copySeconds: number[];
}

export interface Options {
  rounds: number;
  /** Calls back to back where the cache is warm. */
  calls: number;
  onRound?: () => void;
}

export async function measure(problem: GpuProblem, open: Calls, timer: Timer, { rounds, calls, onRound }: Options): Promise<ProblemResult> {
  const series: Series[] = OPERATIONS.flatMap((operation) => CACHES.map((cache) => ({ operation, cache, seconds: [], copySeconds: [] })));
  const time = (call: () => void, cache: Cache) => (cache === 'cold' ? timer.cold(call) : timer.warm(call, calls));
  for (let round = 0; round < rounds; ++round) {
    for (const { operation, cache, seconds, copySeconds } of series) {
      copySeconds.push(await time(open.copy[operation], cache));
      seconds.push(await time(open.operation[operation], cache));
    }
    onRound?.();
  }
  return { ...problem, results: series.map((one) => toResult(one, fewestBytes(problem, one.operation))) };
}

function toResult({ operation, cache, seconds, copySeconds }: Series, bytes: number): Result {
  return {
    operation,
    cache,
    bytes,
    seconds: summarize(seconds),
    copySeconds: summarize(copySeconds),
    bytesPerSecond: bytes / median(seconds),
    copyBytesPerSecond: bytes / median(copySeconds),
    copies: median(seconds.map((value, round) => value / copySeconds[round]!)),
  };
}
