import { inspect } from 'node:util';
import { expect } from 'chai';
import { BatchNorm, Device, Stream, Tensor } from '../lib/index';
import { expectError } from './helpers/failure';
import { skip } from './helpers/shared';

const cudaWorks = () => Device.list().some(({ type }) => type === 'cuda');

describe('Device', () => {
  const cpu = Device.get('cpu');

  it('is one object however it is asked for', () => {
    expect(Device.get('cpu')).to.equal(cpu);
    expect(Device.get(cpu)).to.equal(cpu);
    expect(Device.get('auto')).to.equal(Device.get());
    expect(Device.list()).to.include(cpu);
    expect(Tensor.zeros([1], { device: 'cpu' }).device).to.equal(cpu);
  });

  it('describes itself', () => {
    expect(cpu).to.include({ type: 'cpu', name: 'cpu' });
    expect(cpu.description).to.match(/thread/);
    expect(`${cpu}`).to.equal('Device cpu');
    expect(inspect(cpu)).to.include(cpu.description);
  });

  it('auto falls back to the CPU, and nothing else does', function () {
    if (cudaWorks()) skip(this, 'CUDA works here');
    expect(Device.get()).to.equal(cpu);
    const { reason } = Device.report().find(({ name }) => name === 'cuda')!;
    for (const name of ['cuda', 'cuda:0', 'cuda:7']) expectError(() => Device.get(name), 'ERR_DEVICE_UNAVAILABLE', reason!);
    expectError(() => new BatchNorm(2, { device: 'cuda' }), 'ERR_DEVICE_UNAVAILABLE', 'cuda:0', reason!);
    expectError(() => Tensor.zeros([2], { device: 'cuda:0' }), 'ERR_DEVICE_UNAVAILABLE', reason!);
  });

  it('reports every backend, with a reason exactly where it does not work', () => {
    const report = Device.report();
    expect(report.map(({ name }) => name)).to.include.members(['cpu', 'cuda', 'cudnn']);
    for (const { available, reason } of report) expect(reason === undefined).to.equal(available);
    expect(report.find(({ name }) => name === 'cpu'))
      .to.have.property('version')
      .that.matches(/thread/);
  });

  it('refuses names that no device has', () => {
    const names = ['', 'gpu', 'cuda:', 'cuda:-1', 'cuda:01', 'cuda:1.5', 'cpu:0', 'CPU', 0, null, {}, [], Symbol('cpu')];
    for (const name of names) expectError(() => Device.get(name as never), 'ERR_INVALID_ARGUMENT', "'cuda:<number>'");
  });

  it('says why there is no cuDNN', function () {
    const { available, reason } = Device.report().find(({ name }) => name === 'cudnn')!;
    if (available) skip(this, 'cuDNN works here');
    expectError(() => new BatchNorm(2, { backend: 'cudnn', device: 'cpu' }), 'ERR_DEVICE_UNAVAILABLE', 'cudnn', reason!);
  });

  it('counts memory, and stops at the limit with byte counts', () => {
    cpu.emptyCache(); // an idle block of another test could serve the request
    const before = cpu.memory();
    const tensor = Tensor.empty([1000], { device: cpu });
    expect(cpu.memory().live - before.live).to.be.at.least(4000);
    expect(cpu.memory().peak).to.be.at.least(cpu.memory().live);
    expect(cpu.memory().reserved).to.be.at.least(cpu.memory().live);
    try {
      cpu.setMemoryLimit(cpu.memory().reserved + 1000);
      expect(cpu.memory().limit).to.equal(cpu.memory().reserved + 1000);
      expectError(() => Tensor.empty([2 ** 20], { device: cpu }), 'ERR_OUT_OF_MEMORY', String(2 ** 22));
    } finally {
      cpu.setMemoryLimit(before.limit);
    }
    tensor.dispose();
    expect(cpu.memory().live).to.equal(before.live);
    for (const bytes of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, undefined]) {
      expectError(() => cpu.setMemoryLimit(bytes as never), 'ERR_INVALID_ARGUMENT', 'bytes');
    }
  });

  it('gives memory kept for reuse back to the system', () => {
    Tensor.empty([2 ** 20], { device: cpu }).dispose();
    const before = cpu.memory();
    cpu.emptyCache();
    expect(cpu.memory().reserved).to.be.at.most(before.reserved - 2 ** 22);
    expect(cpu.memory().live).to.equal(before.live);
  });

  it('a pass that runs out of memory leaves nothing behind', () => {
    const layer = new BatchNorm(64, { device: cpu });
    const input = Tensor.zeros([64, 64, 16, 16], { device: cpu });
    cpu.emptyCache();
    const { live, reserved, limit } = cpu.memory();
    try {
      for (const spare of [0, input.byteLength / 2, input.byteLength]) {
        cpu.setMemoryLimit(reserved + spare);
        expectError(() => layer.forward(input), 'ERR_OUT_OF_MEMORY');
        expect(cpu.memory().live).to.equal(live);
        expect(layer.numBatchesTracked).to.equal(0);
        cpu.emptyCache();
      }
    } finally {
      cpu.setMemoryLimit(limit);
    }
    layer.dispose();
    input.dispose();
  });

  it('waits for its work', async () => {
    const tensor = Tensor.full([2 ** 20], 1, { device: cpu });
    expect(await cpu.synchronize()).to.equal(undefined);
    expect(cpu.synchronizeSync()).to.equal(undefined);
    tensor.dispose();
  });

  it('makes streams, which take work in order', async () => {
    const stream = cpu.createStream();
    expect(stream).to.be.instanceOf(Stream);
    expect(stream.device).to.equal(cpu);
    expect(inspect(stream)).to.equal('Stream on cpu');
    using layer = new BatchNorm(2, { device: cpu });
    using input = Tensor.from([1, 2, 3, 4], [2, 2], { device: cpu, stream });
    using output = layer.forward(input, { stream });
    using gradient = layer.backward(output, { stream }).input;
    await stream.synchronize();
    stream.synchronizeSync();
    expect([...output.readSync()].map(Math.round)).to.deep.equal([-1, -1, 1, 1]);
    expect(gradient.readSync()).to.have.length(4);
    expectError(() => layer.forward(input, { stream: {} as never }), 'ERR_INVALID_ARGUMENT', 'options.stream');
    expectError(() => Tensor.zeros([1], { stream: cpu as never }), 'ERR_INVALID_ARGUMENT', 'options.stream');
  });

  it('is not constructed by hand, and neither are streams and tensors', () => {
    for (const Class of [Device, Stream, Tensor] as unknown as (new (
      ...args: unknown[]
    ) => unknown)[]) {
      expectError(() => new Class(), 'ERR_INVALID_ARGUMENT', 'construction');
      expectError(() => new Class(Symbol('internal'), {}), 'ERR_INVALID_ARGUMENT', 'construction');
    }
  });
});
