// Written for the sanitized variants of the addon, where a race or a touched byte of released memory ends the process.
// Without a sanitizer it still compares what the threads computed.

import { on } from 'node:events';
import { resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { device, emulated } from '../helpers/device';
import { type Outcome, trainCarelessly } from './careless_training';

const STEPS = emulated ? 20 : 150;
// Node.js starts workers from plain JavaScript only.
const PROGRAM = `require('tsx/cjs'); require(${JSON.stringify(resolve(__dirname, 'careless_training.ts'))})`;

/** A worker that has begun, and what it will end with. */
async function startWorker(steps: number): Promise<{ worker: Worker; outcome: () => Promise<Outcome> }> {
  const worker = new Worker(PROGRAM, { eval: true, workerData: { steps } });
  const messages = on(worker, 'message'); // keeps those that come before they are asked for
  const next = async () => (await messages.next()).value[0];
  await next();
  return { worker, outcome: next };
}

/** Lets the garbage collector, and the finalizers that follow it in later turns, give back what nobody holds. */
async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 3; ++round) {
    globalThis.gc!();
    await turn();
  }
}

describe('careless training', function () {
  this.timeout('10m');

  it('on the main thread and two workers at once ends the same everywhere', async () => {
    const workers = await Promise.all([startWorker(STEPS), startWorker(STEPS)]);
    const [main, ...others] = await Promise.all([trainCarelessly(STEPS), ...workers.map(({ outcome }) => outcome())]);
    expect(main.runningMean.every(Number.isFinite)).to.equal(true);
    for (const other of others) expect(other).to.deep.equal(main);
  });

  it('leaves no memory live once the garbage is collected', async () => {
    await collectGarbage();
    const { live } = device.memory();
    await trainCarelessly(STEPS);
    await collectGarbage();
    expect(device.memory().live).to.equal(live);
  });

  it('can be cut off in a worker at any moment, and others go on', async () => {
    const expected = await trainCarelessly(STEPS);
    for (const delay of [0, 5, 20, 50]) {
      const { worker } = await startWorker(1e9);
      const main = trainCarelessly(STEPS);
      await new Promise((done) => setTimeout(done, delay));
      await worker.terminate();
      expect(await main).to.deep.equal(expected);
    }
  });
});
