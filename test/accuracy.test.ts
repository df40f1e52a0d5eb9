/** The accuracy that is promised, on the data it is promised for: float32 of deviation 1, 32 × 16 × 28 × 28. */

import { expect } from 'chai';
import type { DType } from '../lib/index';
import { lastPlace, roundAll } from '../lib/validation/number_format';
import { type Activation, backward, batchStatistics, forward, type Values, viewOf } from '../lib/validation/oracle';
import { runStep } from './helpers/layer';
import { normals } from './helpers/random';

const CHANNELS = 16;
const LAYOUTS = [
  { name: 'channels first', shape: [32, CHANNELS, 28, 28], axis: 1 },
  { name: 'channels last', shape: [25088, CHANNELS], axis: -1 },
] as const;
const COUNT = 32 * CHANNELS * 28 * 28;

/** NaN where anything is. */
function greatestError(actual: Values, expected: Values, placeOf: (expected: number) => number = () => 1): number {
  let greatest = 0;
  for (let i = 0; i < actual.length; i++) greatest = Math.max(greatest, Math.abs(actual[i]! - expected[i]!) / placeOf(expected[i]!));
  return greatest;
}

describe('accuracy against float64', () => {
  for (const { name, shape, axis } of LAYOUTS) {
    for (const mean of [0, 1e3, 1e5, 1e6]) {
      const x = (): Float64Array => roundAll(normals(COUNT, 11, mean, 1), 'float32');

      it(`${name}, mean ${mean}: the output is within 2e-6, the running statistics within float32 rounding`, async () => {
        const data = x();
        const view = viewOf(shape, axis);
        const statistics = batchStatistics(data, view);
        const step = await runStep({ shape, axis, x: data, momentum: 1, runningVariance: 'biased' });
        const error = greatestError(step.output, forward(data, view, statistics));
        console.log(`      greatest output error ${error.toExponential(2)}`);
        expect(error).to.be.at.most(2e-6);
        expect(greatestError(step.runningMean, statistics.mean)).to.be.at.most(lastPlace(mean, 'float32') / 2 + 2 ** -24);
        expect(greatestError(step.runningVar, statistics.variance)).to.be.at.most(1e-6);
      });

      it(`${name}, mean ${mean}: the input gradient is within 2e-6 of those around 1, parameter gradients within 1e-6 of their terms' sum`, async () => {
        const data = x();
        const dy = roundAll(normals(COUNT, 12), 'float32');
        const view = viewOf(shape, axis);
        const weight = roundAll(normals(CHANNELS, 13, 1, 0.2), 'float32');
        const bias = roundAll(normals(CHANNELS, 14), 'float32');
        const step = await runStep({ shape, axis, x: data, weight, bias, dy });
        const expected = backward(dy, data, view, batchStatistics(data, view), false, { weight, bias });
        const input = greatestError(step.gradients!.input, expected.input);
        // 25088 terms of size about 1 are summed: the sums themselves are of size 160, their terms' magnitudes add up to 20000.
        const sums = Math.max(greatestError(step.gradients!.weight!, expected.weight), greatestError(step.gradients!.bias!, expected.bias));
        console.log(`      greatest input gradient error ${input.toExponential(2)}, parameter gradient error ${sums.toExponential(2)}`);
        expect(input).to.be.at.most(2e-6);
        expect(sums).to.be.at.most(1e-6 * 20000);
      });
    }

    for (const [dtype, mean] of [
      ['float16', 0],
      ['float16', 100],
      ['bfloat16', 0],
      ['bfloat16', 100],
    ] as [DType, number][]) {
      for (const activation of ['identity', 'gelu'] as Activation[]) {
        it(`${name}, ${dtype}, mean ${mean}, ${activation}: output and gradient are the reference rounded, but for ties`, async () => {
          const x = roundAll(normals(COUNT, 15, mean, 8), dtype);
          const dy = roundAll(normals(COUNT, 16), dtype);
          const view = viewOf(shape, axis);
          const statistics = batchStatistics(x, view);
          const step = await runStep({ shape, axis, x, dy, dtype, activation });
          const y = forward(x, view, statistics, { activation });
          const dx = backward(dy, x, view, statistics, false, { activation }).input;
          // In units of the last place of the type at values of ordinary size; half a unit is what rounding alone costs.
          const inPlaces = (actual: Values, expected: Values, floor: number): number =>
            greatestError(actual, expected, (value) => lastPlace(Math.max(Math.abs(value), floor), dtype));
          expect(inPlaces(step.output, y, 0.125)).to.be.at.most(0.52);
          expect(inPlaces(step.gradients!.input, dx, 0.125 / 8)).to.be.at.most(0.52);
        });
      }
    }
  }
});
