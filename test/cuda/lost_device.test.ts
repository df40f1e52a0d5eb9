/** After a kernel has gone wrong a GPU does nothing more: every call says so, and the process lives. */

import { once } from 'node:events';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { BatchNorm, batchNormInference, Device, Tensor } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator } from '../helpers/emulator';
import { expectError, expectRejection } from '../helpers/failure';

describeEmulated('a lost device', () => {
  let layer: BatchNorm;
  let input: Tensor;
  before(() => {
    layer = new BatchNorm(4, { device });
    input = Tensor.full([8, 4], 1, { device });
  });
  afterEach(() => emulator.reset());
  after(() => {
    layer.dispose();
    input.dispose();
  });

  /** A kernel that reads what was never written, as a tensor over foreign memory may let it. */
  function lose(): void {
    using unwritten = Tensor.empty([8, 4], { device });
    layer.eval().forward(unwritten).dispose();
  }

  it('names the fault, the kernel and the place to whoever waits for the work', async () => {
    lose();
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'cudaError', 'uninitialised read');
    expect(emulator.lastFault()).to.match(/^uninitialised read: kernel transform.*thread \d+ of block \d+/);
  });

  it('a read beyond the end of a block is named too', async () => {
    using owner = Tensor.full([32], 1, { device });
    using beyond = Tensor.fromPointer(owner.pointer, [9, 4], { device });
    layer.eval().forward(beyond).dispose();
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'out-of-bounds read');
  });

  it('so is the use of memory that was given back', async () => {
    const owner = Tensor.full([8, 4], 1, { device });
    using dangling = Tensor.fromPointer(owner.pointer, [8, 4], { device });
    owner.dispose();
    layer.eval().forward(dangling).dispose();
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'use after free');
  });

  it('fails every later call with ERR_CUDA, at once or by its promise, and lives on', async () => {
    lose();
    await expectRejection(device.synchronize(), 'ERR_CUDA');
    expectError(() => Tensor.full([3], 1, { device }), 'ERR_CUDA');
    expectError(() => Tensor.from([1], [1], { device }), 'ERR_CUDA');
    expectError(() => layer.train().forward(input), 'ERR_CUDA');
    expectError(() => input.write(new Float32Array(32)), 'ERR_CUDA');
    expectError(() => input.readSync(), 'ERR_CUDA');
    expectError(() => device.synchronizeSync(), 'ERR_CUDA');
    await expectRejection(input.read(), 'ERR_CUDA');
    await expectRejection(device.synchronize(), 'ERR_CUDA');
    await expectRejection(layer.stateDict(), 'ERR_CUDA');
  });

  it('is not available to who asks for it first, and auto falls back', async () => {
    lose();
    await expectRejection(device.synchronize(), 'ERR_CUDA');
    const program = `
      require('tsx/cjs');
      const { Device } = require(${JSON.stringify(resolve(__dirname, '../../lib/index.ts'))});
      let code;
      try { Device.get('cuda'); } catch (error) { code = error.code; }
      require('node:worker_threads').parentPort.postMessage({ code, auto: Device.get().name, list: Device.list().map(String) });`;
    const [seen] = await once(new Worker(program, { eval: true }), 'message');
    expect(seen).to.deep.equal({ code: 'ERR_DEVICE_UNAVAILABLE', auto: 'cpu', list: ['Device cpu'] });
  });

  it('leaves the CPU and what is plain fact alone, and lets go of what it held', () => {
    const tensor = Tensor.full([8], 1, { device });
    const { live } = device.memory();
    lose();
    expectError(() => device.synchronizeSync(), 'ERR_CUDA');
    tensor.dispose();
    expect(device.memory().live).to.equal(live - 32);
    expect(device.description).to.include('compute capability');
    expect(input).to.include({ size: 32, disposed: false });
    using there = Tensor.from([1, 3], [2, 1], { device: 'cpu' });
    using zero = Tensor.zeros([1], { device: 'cpu' });
    using one = Tensor.full([1], 1, { device: 'cpu' });
    using output = batchNormInference(there, zero, one, { eps: 0 });
    expect([...output.readSync()]).to.deep.equal([1, 3]);
    expect(Device.list()).to.include(Device.get('cpu'));
  });

  it('works again after a reset, as only the emulator knows it', async () => {
    lose();
    await expectRejection(device.synchronize(), 'ERR_CUDA');
    emulator.reset();
    input.write(Float32Array.from({ length: 32 }, (_, i) => (i % 8 < 4 ? 1 : 3)));
    using output = layer.train().forward(input);
    expect([...(await output.read())].map(Math.round)).to.include.members([-1, 1]);
  });
});
