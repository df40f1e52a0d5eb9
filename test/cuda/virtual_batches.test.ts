/** A virtual batch that fails where others before it did not. */

import { expect } from 'chai';
import { BatchNorm, Tensor } from '../../lib/index';
import { describeEmulated } from '../helpers/cuda';
import { device } from '../helpers/device';
import { emulator } from '../helpers/emulator';
import { expectError } from '../helpers/failure';
import { normals } from '../helpers/random';

const tensorOf = (seed: number) => Tensor.from(normals(4 * 3 * 5, seed), [4, 3, 5], { device });

function failingSecond(action: () => unknown): void {
  emulator.fail('launch', 2);
  try {
    expectError(action, 'ERR_CUDA');
  } finally {
    emulator.fail('launch', 0);
  }
}

describeEmulated('a ghost batch that fails after another', () => {
  it('leaves no memory behind, and the layer goes on', () => {
    using layer = new BatchNorm(3, { device, virtualBatchSize: 2, activation: 'relu' });
    using input = tensorOf(1);
    layer.forward(input, { residual: input }).dispose();
    const { live } = device.memory();
    failingSecond(() => layer.forward(input, { residual: input }));
    failingSecond(() => layer.backward(input));
    expect(device.memory().live).to.equal(live);
    expect(layer.numBatchesTracked).to.equal(2);
    const gradients = layer.backward(input);
    for (const tensor of [gradients.input, gradients.weight!, gradients.bias!, gradients.residual!]) tensor.dispose();
  });

  it('has backward passes notice what the first one wrote', () => {
    for (const inPlace of [true, false]) {
      using saving = new BatchNorm(3, { device });
      using layer = new BatchNorm(3, { device, virtualBatchSize: 2, inPlace });
      using saved = tensorOf(1);
      using input = tensorOf(2);
      using output = saving.forward(saved);
      failingSecond(() => (inPlace ? layer.forward(saved) : layer.forward(input, { out: saved })));
      expectError(() => saving.backward(output), 'ERR_STATE', 'input', 'changed');
    }
  });
});
