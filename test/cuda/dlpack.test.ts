/** Memory that a worker handed out by DLPack and that is let go of on another thread: while the worker ends, and after. */

import { once } from 'node:events';
import { resolve } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { Tensor } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator } from '../helpers/emulator';
import { settle } from '../helpers/garbage';

const COUNT = 50;

/** Full of 0, 1, 2 and so on. */
const program = (end: string) => `require('tsx/cjs');
  const { Tensor } = require(${JSON.stringify(resolve(__dirname, '../../lib/index.ts'))});
  const numbers = Array.from({ length: ${COUNT} }, (_, i) => i);
  const tensors = numbers.map((i) => Tensor.full([1000], i, { device: '${device.name}' }));
  tensors[0].readSync();
  require('node:worker_threads').parentPort.postMessage(tensors.map((tensor) => tensor.toDLPack()));
  ${end}`;

async function startWorker(end: string): Promise<{ pointers: bigint[]; exited: Promise<unknown> }> {
  const worker = new Worker(program(end), { eval: true });
  const exited = once(worker, 'exit');
  const [pointers] = await once(worker, 'message');
  return { pointers, exited };
}

describeEmulated('memory of a worker, handed out by DLPack', function () {
  this.timeout(60_000);
  let idle: number;

  beforeEach(async () => {
    await settle();
    idle = emulator.liveBytes();
  });

  it('outlives the worker, and goes back when let go of', async () => {
    const { pointers, exited } = await startWorker('');
    await exited;
    const twins = pointers.map((pointer) => Tensor.fromDLPack(pointer));
    expect(emulator.liveBytes()).to.be.at.least(idle + COUNT * 4000);
    for (const [i, twin] of twins.entries()) expect((await twin.read()).every((value) => value === i)).to.equal(true);
    for (const twin of twins) twin.dispose();
    await settle();
    expect(emulator.liveBytes()).to.equal(idle);
  });

  it('goes back when the worker ends that took it back itself', async () => {
    const { pointers, exited } = await startWorker('globalThis.twins = tensors.map((tensor) => Tensor.fromDLPack(tensor.toDLPack()));');
    await exited;
    for (const pointer of pointers) Tensor.fromDLPack(pointer).dispose();
    await settle();
    expect(emulator.liveBytes()).to.equal(idle);
  });

  it('may be let go of while the worker ends', async () => {
    for (let i = 0; i < 4; ++i) {
      const { pointers, exited } = await startWorker('process.exit();');
      for (const pointer of pointers) {
        Tensor.fromDLPack(pointer).dispose();
        await turn();
      }
      await exited;
    }
    await settle();
    expect(emulator.liveBytes()).to.equal(idle);
  });
});
