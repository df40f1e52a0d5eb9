/** What every measured implementation looks like to the benchmark. */

import type { Operation, Problem } from './problem';

export interface Contender {
  readonly name: string;
  readonly version: string;
  /** What its times include, in words for the reader of the table. */
  readonly note: string;
  readonly operations: readonly Operation[];
  prepare(problem: Problem): Promise<Prepared>;
  close(): void;
}

/** A contender that holds one problem's tensors. */
export interface Prepared {
  /** Seconds per call, over `calls` calls back to back after some that do not count. */
  burst(operation: Operation, calls: number): Promise<number>;
  release(): Promise<void> | void;
  /** How an operation is done, where there are several ways; known after its first burst. */
  way?(operation: Operation): string | undefined;
}

/** Calls before the clock starts: they wake threads and fill the caches again after another contender's turn. */
export const warmUpCalls = (calls: number): number => Math.ceil(calls / 4);

/** Times `calls` runs of `call`; `finish` waits for whatever they left queued. */
export async function timeCalls(
  calls: number,
  call: () => Promise<void> | void,
  finish: () => Promise<void> | void = () => {},
): Promise<number> {
  const repeat = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const pending = call();
      if (pending) await pending;
    }
    await finish();
  };
  await repeat(warmUpCalls(calls));
  const start = performance.now();
  await repeat(calls);
  return (performance.now() - start) / 1e3 / calls;
}

/** What JavaScript engines compile, they compile after many calls: repeats `burst` for so many seconds. */
export async function warmUp(seconds: number, burst: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + 1e3 * seconds;
  while (performance.now() < end) await burst();
}
