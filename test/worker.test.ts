import { once } from 'node:events';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { Tensor } from '../lib/index';
import { device, emulated } from './helpers/device';
import { type Job, train } from './helpers/train_worker';

// Plain JavaScript that loads the TypeScript program, for Node.js starts workers from nothing else.
const PROGRAM = `require('tsx/cjs'); require(${JSON.stringify(resolve(__dirname, 'helpers/train_worker.ts'))})`;

const start = (job: Job) => new Worker(PROGRAM, { eval: true, workerData: job });

async function resultOf(worker: Worker): Promise<string> {
  const [result] = await once(worker, 'message');
  return result as string;
}

describe('worker threads', function () {
  this.timeout(120_000);

  it('train at once with the main thread, each with its own state, and to the same bits', async () => {
    const job = { steps: emulated ? 20 : 200, seed: 1 };
    const results = await Promise.all([resultOf(start(job)), resultOf(start(job)), train(job)]);
    const [first, second, main] = results.map((result) => JSON.parse(result));
    expect(first.state).to.deep.equal(main.state);
    expect(second.state).to.deep.equal(main.state);
    expect(main.state.num_batches_tracked.data).to.deep.equal({ 0: job.steps });
    expect([first.held, second.held]).to.deep.equal([0, 0]);
  });

  it('may be ended in the middle of their work', async () => {
    for (let i = 0; i < 4; ++i) {
      const worker = start({ steps: 1e9, seed: i });
      await once(worker, 'online');
      await new Promise((done) => setTimeout(done, 200 * i));
      await worker.terminate();
    }
    const tensor = Tensor.full([3], 2, { device });
    expect([...(await tensor.read())]).to.deep.equal([2, 2, 2]);
    tensor.dispose();
  });

  it('may end without having waited for their work', async () => {
    const lib = JSON.stringify(resolve(__dirname, '../lib/index.ts'));
    const program = `require('tsx/cjs'); const { BatchNorm, Tensor } = require(${lib});
      const layer = new BatchNorm(64, { device: '${device.name}' });
      const input = Tensor.zeros([${emulated ? '4, 64, 8, 8' : '64, 64, 20, 20'}], { device: '${device.name}' });
      for (let i = 0; i < 20; ++i) layer.forward(input).read();`;
    const worker = new Worker(program, { eval: true });
    const [code] = await once(worker, 'exit');
    expect(code).to.equal(0);
  });
});
