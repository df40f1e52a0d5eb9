import { availableParallelism, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { BatchNorm, Device, Tensor } from '../lib/index';
import { skip } from './helpers/shared';

const PERIOD = 5;
const ALLOWED = 20;
// Another program may take the processor from a timer; work that holds the event loop does so every time.
const ATTEMPTS = 20;

/** In milliseconds: how late a timer came at worst while something ran, and how long that took. */
interface Watch {
  late: number;
  elapsed: number;
}

async function watchTimer(work: () => Promise<unknown>): Promise<Watch> {
  const start = performance.now();
  let done = false;
  let late = 0;
  const timer = async () => {
    while (!done) {
      const due = performance.now() + PERIOD;
      await sleep(PERIOD);
      late = Math.max(late, performance.now() - due);
    }
  };
  const watching = timer();
  await work();
  const elapsed = performance.now() - start;
  done = true;
  await watching;
  return { late, elapsed };
}

describe('the event loop', function () {
  this.timeout(300_000);
  const device = Device.get('cpu');
  const shape = [64, 64, 160, 160]; // 400 MiB of float32
  let input: Tensor;
  let layer: BatchNorm;

  before(async () => {
    input = Tensor.full(shape, 1.5, { device });
    layer = new BatchNorm(64, { device });
    await step(() => device.synchronize()); // the memory that the steps below reuse
  });

  after(() => {
    input.dispose();
    layer.dispose();
    device.emptyCache();
  });

  async function step(wait: () => Promise<void> | void): Promise<void> {
    const output = layer.forward(input);
    const gradients = layer.backward(output);
    await wait();
    for (const tensor of [output, gradients.input, gradients.weight!, gradients.bias!]) tensor.dispose();
  }

  it(`keeps a ${PERIOD} ms timer less than ${ALLOWED} ms late during a training step of 400 MB`, async function () {
    const seen: Watch[] = [];
    do {
      seen.push(await watchTimer(() => step(() => device.synchronize())));
    } while (seen.at(-1)!.late >= ALLOWED && seen.length < ATTEMPTS);
    const best = seen.reduce((a, b) => (a.late < b.late ? a : b));
    // A step that holds the loop makes the timer late by a good part of its own time, on a busy machine too.
    expect(best.late).to.be.lessThan(best.elapsed / 4);
    const load = loadavg()[0]!;
    if (best.late >= ALLOWED && load > 2 * availableParallelism()) {
      skip(this, `other programs keep the processors busy (load ${load.toFixed(1)}), so timers are late anyway`);
    }
    expect(best.late, `late by ${seen.map(({ late }) => Math.round(late)).join(', ')} ms`).to.be.lessThan(ALLOWED);
  });

  it('is held by the blocking twin, which this measurement sees', async () => {
    const { late, elapsed } = await watchTimer(() => step(() => device.synchronizeSync()));
    expect(late).to.be.at.least(elapsed / 4);
  });
});
