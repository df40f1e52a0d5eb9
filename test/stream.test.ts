/** Streams run side by side; events put the work of one behind that of another. */

import { expect } from 'chai';
import { batchNormInference, type Stream, Tensor } from '../lib/index';
import { describeEmulated } from './helpers/cuda';
import { device } from './helpers/device';
import { emulator } from './helpers/emulator';
import { expectError, expectRejection } from './helpers/failure';
import { secondDevice } from './helpers/second_device';

const SHAPE = [16, 8, 12, 12];
const COUNT = 16 * 8 * 12 * 12;

/** Work on two streams: the second adds 1 to what the first makes of the input, twice it plus 1. */
function makeChain() {
  const input = Tensor.full(SHAPE, 3, { device });
  const middle = Tensor.zeros(SHAPE, { device }); // not empty: whoever reads it too early should be told of the wait
  const output = Tensor.empty(SHAPE, { device });
  const [zeros, ones, twos] = [0, 1, 2].map((value) => Tensor.full([8], value, { device })) as [Tensor, Tensor, Tensor];
  const all = [input, middle, output, zeros, ones, twos];
  return {
    first: (stream: Stream) => batchNormInference(input, zeros, ones, { eps: 0, weight: twos, bias: ones, out: middle, stream }),
    second: (stream: Stream) => batchNormInference(middle, zeros, ones, { eps: 0, bias: ones, out: output, stream }),
    overwrite: (stream: Stream) => batchNormInference(input, zeros, ones, { eps: 0, out: middle, stream }),
    output,
    dispose: () => {
      for (const tensor of all) tensor.dispose();
    },
  };
}

describe('streams and events', () => {
  it('a stream that waits for an event of another sees its work', async () => {
    const [first, second] = [device.createStream(), device.createStream()];
    const chain = makeChain();
    for (let i = 0; i < 5; ++i) {
      chain.first(first);
      second.wait(first.record());
      chain.second(second);
      first.wait(second.record()); // the next round writes what this one reads
    }
    expect(await chain.output.read()).to.deep.equal(new Float32Array(COUNT).fill(8));
    chain.dispose();
  });

  it('an event stands for what came before it, not for what came after', async () => {
    const [first, second] = [device.createStream(), device.createStream()];
    const chain = makeChain();
    chain.first(first);
    const event = first.record();
    second.wait(event);
    chain.second(second);
    first.wait(second.record());
    chain.overwrite(first);
    await event.synchronize();
    event.dispose();
    expect(await chain.output.read()).to.deep.equal(new Float32Array(COUNT).fill(8));
    chain.dispose();
  });

  it('reading waits for all streams that wrote', async () => {
    for (let i = 0; i < 10; ++i) {
      const chain = makeChain();
      const stream = device.createStream();
      chain.first(stream);
      chain.second(stream);
      expect((await chain.output.read())[COUNT - 1]).to.equal(8);
      chain.dispose();
    }
  });

  it('memory given up while another stream uses it is not handed out before that stream is done', async () => {
    const stream = device.createStream();
    for (let i = 0; i < 10; ++i) {
      const chain = makeChain();
      chain.first(stream);
      chain.second(stream);
      const reading = chain.output.read();
      chain.dispose();
      const next = Array.from({ length: 4 }, () => Tensor.full(SHAPE, 1e9, { device })); // takes the memory, were it free
      expect((await reading)[COUNT - 1]).to.equal(8);
      for (const tensor of next) tensor.dispose();
    }
  });

  it('events that keep their time tell how long the work between them took', async () => {
    const stream = device.createStream();
    const chain = makeChain();
    const started = performance.now();
    using start = stream.record();
    chain.first(stream);
    using middle = stream.record();
    chain.second(stream);
    using end = stream.record();
    const [whole, first, second] = await Promise.all([end.elapsed(start), middle.elapsed(start), end.elapsed(middle)]);
    expect(whole)
      .to.be.greaterThan(0)
      .and.at.most(performance.now() - started);
    expect(first + second).to.be.closeTo(whole, 0.01);
    expect(await start.elapsed(end)).to.be.closeTo(-whole, 1e-3);
    chain.dispose();
  });

  it('events of other devices, and what is no event, are refused', () => {
    const stream = device.createStream();
    expectError(() => stream.wait({} as never), 'ERR_INVALID_ARGUMENT', 'event');
    expectError(() => stream.wait(undefined as never), 'ERR_INVALID_ARGUMENT', 'event');
    const gone = stream.record();
    gone.dispose();
    gone.dispose();
    expect(gone).to.include({ disposed: true, device });
    expectError(() => stream.wait(gone), 'ERR_DISPOSED', 'event');
    expectError(() => stream.wait(secondDevice().createStream().record()), 'ERR_DEVICE_MISMATCH', 'event');
  });
});

describeEmulated('a missing stream wait', () => {
  afterEach(() => emulator.reset());

  it('before reading is reported by name', async () => {
    const [first, second] = [device.createStream(), device.createStream()];
    const chain = makeChain();
    chain.first(first);
    chain.second(second);
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'missing stream wait');
    expect(emulator.lastFault()).to.include('missing stream wait');
    chain.dispose();
  });

  it('before writing what another stream reads is reported by name', async () => {
    const [first, second] = [device.createStream(), device.createStream()];
    const chain = makeChain();
    chain.first(first);
    second.wait(first.record());
    chain.second(second);
    chain.overwrite(first); // while the second stream may still be reading
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'missing stream wait');
    chain.dispose();
  });

  it('is missed by a wait for an event that was recorded too early', async () => {
    const [first, second] = [device.createStream(), device.createStream()];
    const chain = makeChain();
    const early = first.record();
    chain.first(first);
    second.wait(early);
    chain.second(second);
    await expectRejection(device.synchronize(), 'ERR_CUDA', 'missing stream wait');
    chain.dispose();
  });

  it('leaves a device that works once it is reset', async () => {
    const chain = makeChain();
    const stream = device.createStream();
    chain.first(stream);
    chain.second(stream);
    expect((await chain.output.read())[0]).to.equal(8);
    chain.dispose();
  });
});
