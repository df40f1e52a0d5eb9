/** The memory of a GPU: copies between devices, memory that is owned elsewhere, and its limit. */

import { expect } from 'chai';
import { BatchNorm, Device, Tensor } from '../../lib/index';
import { DTYPES } from '../../lib/validation/number_format';
import { describeCuda } from '../helpers/cuda';
import { device } from '../helpers/device';
import { expectError } from '../helpers/failure';
import { normals } from '../helpers/random';

describeCuda('memory of a GPU', () => {
  const cpu = Device.get('cpu');

  for (const dtype of DTYPES) {
    it(`copies from the CPU and back, in order with what was queued on both: ${dtype}`, async () => {
      const values = normals(10_000, 1);
      using source = Tensor.from(values, [100, 100], { dtype, device: cpu });
      using there = source.to(device);
      source.write(new Float64Array(10_000));
      using back = there.to(cpu);
      there.write(new Float64Array(10_000));
      expect(there.device).to.equal(device);
      expect(back.device).to.equal(cpu);
      using original = Tensor.from(values, [100, 100], { dtype, device: cpu });
      expect(await back.readBytes()).to.deep.equal(await original.readBytes());
      expect((await there.read()).every((value) => value === 0)).to.equal(true);
    });
  }

  it('copies results of queued work, both ways', async () => {
    const values = normals(8 * 16 * 25, 2, 5, 2);
    const outputs: (Float32Array | Float64Array)[] = [];
    for (const [where, other] of [
      [device, cpu],
      [cpu, device],
    ] as const) {
      using layer = new BatchNorm(16, { device: where });
      using input = Tensor.from(values, [8, 16, 5, 5], { dtype: 'float32', device: where });
      using output = layer.forward(input);
      using moved = output.to(other);
      output.write(new Float32Array(output.size));
      outputs.push(await moved.read());
    }
    outputs[0]!.forEach((value, i) => {
      expect(value).to.be.closeTo(outputs[1]![i]!, 2e-6);
    });
  });

  it('of two devices is not mixed in one call', () => {
    using layer = new BatchNorm(2, { device });
    using input = Tensor.zeros([3, 2], { device: cpu });
    expectError(() => layer.forward(input), 'ERR_DEVICE_MISMATCH', 'cuda:0', 'cpu');
  });

  it('is seen through the pointer of another tensor, from its middle too', async () => {
    using owner = Tensor.from([1, 2, 3, 4, 5, 6], [6], { device });
    using view = Tensor.fromPointer(owner.pointer + 8n, [2, 2], { device });
    using layer = new BatchNorm(2, { device, eps: 0 });
    layer.weight!.write([2, 3]);
    layer.eval().forward(view, { out: view });
    view.dispose();
    expect([...(await owner.read())]).to.deep.equal([1, 2, 6, 12, 10, 18]);
    using again = Tensor.fromPointer(owner.pointer, [6], { device });
    again.write([6, 5, 4, 3, 2, 1]);
    expect([...(await owner.read())]).to.deep.equal([6, 5, 4, 3, 2, 1]);
  });

  it('is refused beyond its limit with the numbers of bytes, and granted again once some is given back', () => {
    const { limit, live } = device.memory();
    const size = 2 ** 20;
    try {
      device.setMemoryLimit(live + 6 * size);
      const held = Tensor.empty([size], { device });
      const words = [`${4 * size}`, `${live + 4 * size}`, `${live + 6 * size}`];
      expectError(() => Tensor.empty([size], { device }), 'ERR_OUT_OF_MEMORY', 'cuda:0', ...words);
      expect(device.memory().live).to.equal(live + 4 * size);
      held.dispose();
      Tensor.empty([size], { device }).dispose();
    } finally {
      device.setMemoryLimit(limit);
    }
    expect(device.memory()).to.include({ limit, live });
  });

  it('is refused beyond what the device has, with the numbers of bytes', () => {
    const bytes = 2 ** 45;
    expectError(() => Tensor.empty([bytes / 4], { device }), 'ERR_OUT_OF_MEMORY', `${bytes}`);
    Tensor.empty([16], { device }).dispose();
  });
});
