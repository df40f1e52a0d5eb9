/** For tests that count memory: what others left behind must not be counted. They need Node.js with --expose-gc. */

import { setImmediate as turn } from 'node:timers/promises';
import { device } from './device';

/** Collects garbage for so many turns of the event loop, which finalizers wait for, or until `done`. */
export async function collect(turns: number, done = () => false): Promise<void> {
  for (let i = 0; i < turns && !done(); ++i) {
    globalThis.gc!();
    await turn();
  }
}

/** Waits for queued work, for what is to be done on this thread after it, and for what other tests left to the garbage collector. */
export async function settle(): Promise<void> {
  await device.synchronize();
  await collect(5);
}
