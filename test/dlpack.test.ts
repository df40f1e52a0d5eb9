/** Tensors handed to other libraries and back by DLPack: this package is both sides here. */

import { expect } from 'chai';
import { BatchNorm, Tensor } from '../lib/index';
import { DTYPES } from '../lib/validation/number_format';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { settle } from './helpers/garbage';

describe('DLPack', () => {
  for (const dtype of DTYPES) {
    it(`keeps shape, dtype, device and values, and shares the memory: ${dtype}`, async () => {
      using tensor = Tensor.from([1, 2, 3, 4, 5, 6], [3, 1, 2], { device, dtype });
      await device.synchronize();
      using twin = Tensor.fromDLPack(tensor.toDLPack());
      expect(twin).to.include({ dtype, size: 6, device });
      expect(twin.shape).to.deep.equal([3, 1, 2]);
      expect(twin.pointer).to.equal(tensor.pointer);
      twin.write([6, 5, 4, 3, 2, 1]);
      expect([...(await tensor.read())]).to.deep.equal([6, 5, 4, 3, 2, 1]);
    });
  }

  it('takes a scalar and an empty tensor', async () => {
    using scalar = Tensor.from([7], [], { device });
    using empty = Tensor.empty([3, 0], { device });
    await device.synchronize();
    using one = Tensor.fromDLPack(scalar.toDLPack());
    using none = Tensor.fromDLPack(empty.toDLPack());
    expect([...(await one.read())]).to.deep.equal([7]);
    expect(one.shape).to.deep.equal([]);
    expect(none.shape).to.deep.equal([3, 0]);
    expect(none.device).to.equal(device);
  });

  it('keeps the memory until the other side lets go of it, and then no longer', async () => {
    await settle();
    const { live } = device.memory();
    const tensor = Tensor.full([2 ** 16], 1.5, { device });
    await device.synchronize();
    const pointer = tensor.toDLPack();
    tensor.dispose();
    expect(device.memory().live).to.equal(live + 2 ** 18);
    Tensor.full([2 ** 16], 9, { device }).dispose(); // takes the memory, were it free
    const twin = Tensor.fromDLPack(pointer);
    expect((await twin.read()).every((value) => value === 1.5)).to.equal(true);
    twin.dispose();
    await settle();
    expect(device.memory().live).to.equal(live);
  });

  it('may be let go of while work on it is queued', async () => {
    const layer = new BatchNorm(4, { device, eps: 0 });
    const tensor = Tensor.full([8, 4, 100], 3, { device });
    await device.synchronize();
    const twin = Tensor.fromDLPack(tensor.toDLPack());
    tensor.dispose();
    using output = layer.eval().forward(twin);
    twin.dispose();
    expect((await output.read()).every((value) => value === 3)).to.equal(true);
    layer.dispose();
  });

  it('refuses what is no address of a tensor', () => {
    for (const pointer of [0n, -8n, 12n, 1n << 64n, 64, '64', null, undefined]) {
      expectError(() => Tensor.fromDLPack(pointer as never), 'ERR_INVALID_ARGUMENT', 'pointer');
    }
    const gone = Tensor.zeros([1], { device });
    gone.dispose();
    expectError(() => gone.toDLPack(), 'ERR_DISPOSED');
  });
});
