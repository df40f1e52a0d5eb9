/**
 * Times on the GPU itself, by events in the stream of the work.
 *
 * Between two events the GPU must not wait for this program, which takes longer to queue a small operation than the GPU to do it. So
 * the GPU is first given something else to do, long enough for all that is timed to be queued meanwhile: writing the buffer that drives
 * the data out of the L2 cache.
 */

import { type Device, type Stream, Tensor } from '../../lib/index';
import { isEmulated } from './gpu';

/** Calls before the first event where the cache is to be warm. */
const WARMING = 2;
/** How much longer than queueing the writes last. */
const MARGIN = 2;
const MOST_WRITES = 200;
/** Before how long a write takes is known. */
const WAKING_WRITES = 300;
const WAKING_SECONDS = 0.1;

export class Clock {
  private constructor(
    private readonly device: Device,
    private readonly stream: Stream,
    private readonly flushBytes: number,
    private readonly writeSeconds: number,
  ) {}

  static async start(device: Device, stream: Stream, flushBytes: number): Promise<Clock> {
    const clock = new Clock(device, stream, flushBytes, Number.NaN);
    clock.write(isEmulated() ? 2 : WAKING_WRITES);
    const seconds: number[] = [];
    for (let i = 0; i < 5; ++i) seconds.push((await clock.between(() => clock.write(4))) / 4);
    return new Clock(device, stream, flushBytes, Math.min(...seconds));
  }

  /** Keeps the GPU busy until its clocks are up: one that had nothing to do has lowered them. */
  async wake(): Promise<void> {
    if (isEmulated()) return;
    const start = performance.now();
    while (performance.now() - start < WAKING_SECONDS * 1e3) {
      this.write(Math.ceil(WAKING_SECONDS / this.writeSeconds / 10)); // its time is known: a tenth at a time
      await this.stream.synchronize();
    }
  }

  /** Seconds of one call that finds its data out of the L2 cache. */
  async cold(call: () => void): Promise<number> {
    this.write(this.writesFor(await this.queueingSeconds(call, 1)));
    return this.between(call);
  }

  /** Seconds per call of some back to back, each of which finds in the L2 cache what the one before left there. */
  async warm(call: () => void, calls: number): Promise<number> {
    const repeat = (count: number) => {
      for (let i = 0; i < count; ++i) call();
    };
    this.write(this.writesFor(await this.queueingSeconds(call, WARMING + calls)));
    repeat(WARMING);
    return (await this.between(() => repeat(calls))) / calls;
  }

  private async between(work: () => void): Promise<number> {
    using start = this.stream.record();
    work();
    using end = this.stream.record();
    return (await end.elapsed(start)) / 1e3;
  }

  private write(times: number): void {
    for (let i = 0; i < times; ++i) Tensor.full([this.flushBytes / 4], 0, { device: this.device, stream: this.stream }).dispose();
  }

  private async queueingSeconds(call: () => void, calls: number): Promise<number> {
    const start = performance.now();
    call();
    const seconds = ((performance.now() - start) / 1e3) * calls;
    await this.stream.synchronize();
    return seconds;
  }

  private writesFor(queueingSeconds: number): number {
    const needed = Math.ceil((MARGIN * queueingSeconds) / this.writeSeconds);
    return Math.min(MOST_WRITES, Math.max(1, Number.isFinite(needed) ? needed : 1));
  }
}
