/** Captures that make no graph leave everything as it was. */

import { expect } from 'chai';
import { BatchNorm, Device, Tensor } from '../lib/index';
import { describeCuda } from './helpers/cuda';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';

describe('a capture on the CPU', () => {
  it('is refused, and the function is not called', async () => {
    const cpu = Device.get('cpu');
    expectError(() => cpu.capture(() => expect.fail('it was called')), 'ERR_STATE', 'cpu', 'CUDA');
    using tensor = Tensor.full([2], 3, { device: cpu });
    expect([...(await tensor.read())]).to.deep.equal([3, 3]);
  });
});

describeCuda('a capture that fails', () => {
  it('saves no pass for backward, and counts no batch', () => {
    using layer = new BatchNorm(2, { device });
    using input = Tensor.zeros([4, 2], { device });
    const { live } = device.memory();
    const capture = () =>
      device.capture(() => {
        layer.forward(input).dispose();
        throw new RangeError('mine');
      });
    expect(capture).to.throw(RangeError, 'mine');
    expectError(() => layer.backward(input), 'ERR_STATE', 'forward pass');
    expect(layer.numBatchesTracked).to.equal(0);
    expect(device.memory().live).to.equal(live);
  });

  it('as a whole is refused where its function is asynchronous, whatever becomes of that', async () => {
    using tensor = Tensor.full([2], 3, { device });
    const capture = () =>
      device.capture(async () => {
        await tensor.read();
      });
    expectError(capture as () => unknown, 'ERR_INVALID_ARGUMENT', 'fn');
    expect([...(await tensor.read())]).to.deep.equal([3, 3]);
  });
});
