import { inspect } from 'node:util';
import { expect } from 'chai';
import { BatchNorm, Device, Stream, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { skip } from './helpers/shared';

const cudaWorks = () => Device.list().some(({ type }) => type === 'cuda');

describe('Device', () => {
  it('is one object however it is asked for', () => {
    expect(Device.get(device.name)).to.equal(device);
    expect(Device.get(device)).to.equal(device);
    expect(Device.get('auto')).to.equal(Device.get());
    expect(Device.list()).to.include(device);
    expect(Tensor.zeros([1], { device: device.name }).device).to.equal(device);
  });

  it('describes itself', () => {
    const { type, name, description } = device;
    expect(name).to.match(type === 'cpu' ? /^cpu$/ : /^cuda:\d+$/);
    expect(description).to.match(type === 'cpu' ? /thread/ : /compute capability \d+\.\d, \d+ [GM]iB/);
    expect(`${device}`).to.equal(`Device ${name}`);
    expect(inspect(device)).to.include(description);
  });

  it('auto is the first GPU where it works', function () {
    if (!cudaWorks()) skip(this, 'CUDA does not work here');
    expect(Device.get().name).to.equal('cuda:0');
    expect(Device.get('cuda')).to.equal(Device.get());
    expectError(() => Device.get('cuda:9999'), 'ERR_DEVICE_UNAVAILABLE', 'cuda:9999');
  });

  it('auto falls back to the CPU, and nothing else does', function () {
    if (cudaWorks()) skip(this, 'CUDA works here');
    expect(Device.get()).to.equal(Device.get('cpu'));
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
    expectError(() => new BatchNorm(2, { backend: 'cudnn', device }), 'ERR_DEVICE_UNAVAILABLE', 'cudnn', reason!);
  });

  it('counts memory, and stops at the limit with byte counts', () => {
    device.emptyCache(); // an idle block of another test could serve the request
    const before = device.memory();
    const tensor = Tensor.empty([1000], { device });
    expect(device.memory().live - before.live).to.be.at.least(4000);
    expect(device.memory().peak).to.be.at.least(device.memory().live);
    expect(device.memory().reserved).to.be.at.least(device.memory().live);
    try {
      const limit = device.memory().live + 1000;
      device.setMemoryLimit(limit);
      expect(device.memory().limit).to.equal(limit);
      expectError(() => Tensor.empty([2 ** 20], { device }), 'ERR_OUT_OF_MEMORY', String(2 ** 22));
    } finally {
      device.setMemoryLimit(before.limit);
    }
    tensor.dispose();
    expect(device.memory().live).to.equal(before.live);
    for (const bytes of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, undefined]) {
      expectError(() => device.setMemoryLimit(bytes as never), 'ERR_INVALID_ARGUMENT', 'bytes');
    }
  });

  it('gives memory kept for reuse back to the system', () => {
    Tensor.empty([2 ** 24], { device }).dispose();
    const before = device.memory();
    device.emptyCache();
    expect(device.memory().reserved).to.be.at.most(before.reserved - 2 ** 26);
    expect(device.memory().live).to.equal(before.live);
  });

  it('a pass that runs out of memory leaves nothing behind', () => {
    const layer = new BatchNorm(64, { device });
    const input = Tensor.zeros([64, 64, 16, 16], { device });
    device.emptyCache();
    const { live, limit } = device.memory();
    try {
      for (const spare of [0, input.byteLength / 2, input.byteLength]) {
        device.setMemoryLimit(live + spare);
        expectError(() => layer.forward(input), 'ERR_OUT_OF_MEMORY');
        expect(device.memory().live).to.equal(live);
        expect(layer.numBatchesTracked).to.equal(0);
        device.emptyCache();
      }
    } finally {
      device.setMemoryLimit(limit);
    }
    layer.dispose();
    input.dispose();
  });

  it('waits for its work', async () => {
    const tensor = Tensor.full([2 ** 20], 1, { device });
    expect(await device.synchronize()).to.equal(undefined);
    expect(device.synchronizeSync()).to.equal(undefined);
    tensor.dispose();
  });

  it('makes streams, which take work in order', async () => {
    const stream = device.createStream();
    expect(stream).to.be.instanceOf(Stream);
    expect(stream.device).to.equal(device);
    expect(inspect(stream)).to.equal(`Stream on ${device.name}`);
    using layer = new BatchNorm(2, { device });
    using input = Tensor.from([1, 2, 3, 4], [2, 2], { device, stream });
    using output = layer.forward(input, { stream });
    using gradient = layer.backward(output, { stream }).input;
    await stream.synchronize();
    stream.synchronizeSync();
    expect([...output.readSync()].map(Math.round)).to.deep.equal([-1, -1, 1, 1]);
    expect(gradient.readSync()).to.have.length(4);
    expectError(() => layer.forward(input, { stream: {} as never }), 'ERR_INVALID_ARGUMENT', 'options.stream');
    expectError(() => Tensor.zeros([1], { stream: device as never }), 'ERR_INVALID_ARGUMENT', 'options.stream');
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
