/** The same bits in whatever order the threads of a kernel run. */

import { expect } from 'chai';
import type { DType } from '../../lib/index';
import { roundAll } from '../../lib/validation/number_format';
import type { Activation } from '../../lib/validation/oracle';
import { describeEmulated } from '../helpers/cuda';
import { emulator } from '../helpers/emulator';
import { channelsOf, runStep, type Setup } from '../helpers/layer';
import { normals } from '../helpers/random';

const SEEDS = 20;

/** Few channels and many, long and short; whole vectors and odd ends. */
const PROBLEMS: readonly (readonly [shape: readonly number[], axis: number, dtype: DType, activation: Activation])[] = [
  [[4, 16, 14, 14], 1, 'float32', 'relu'],
  [[3, 5, 7, 7], 1, 'float16', 'identity'],
  [[2, 1, 150, 151], 1, 'float32', 'gelu'],
  [[3, 2, 9, 9], 1, 'float64', 'tanh'],
  [[64, 9], 1, 'float32', 'identity'],
  [[8, 7, 7, 32], -1, 'bfloat16', 'relu'],
  [[2500, 17], -1, 'float32', 'silu'],
  [[2, 4, 4, 514], -1, 'float16', 'leakyRelu'],
];

describeEmulated('the order of threads', function () {
  this.timeout(300_000);
  after(() => emulator.setSeed(0));

  for (const [shape, axis, dtype, activation] of PROBLEMS) {
    it(`does not show in the results of [${shape}], axis ${axis}, ${dtype}, ${activation}: ${SEEDS} seeds`, async () => {
      const count = shape.reduce((product, size) => product * size, 1);
      const channels = channelsOf(shape, axis);
      const setup: Setup = {
        shape,
        axis,
        dtype,
        activation,
        parameterDtype: dtype === 'float64' ? 'float64' : 'float32',
        x: roundAll(normals(count, 1, 3, 2), dtype),
        weight: normals(channels, 2, 1, 0.3),
        bias: normals(channels, 3),
        residual: roundAll(normals(count, 4), dtype),
        dy: roundAll(normals(count, 5), dtype),
      };
      emulator.setSeed(0);
      const expected = await runStep(setup);
      for (let seed = 1; seed <= SEEDS; ++seed) {
        emulator.setSeed(seed);
        expect(await runStep(setup), `seed ${seed}`).to.deep.equal(expected);
      }
    });
  }
});
