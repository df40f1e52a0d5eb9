/** Data chosen to break an implementation: what a careless formula, a narrow accumulator or a flushed denormal would get wrong. */

import { expect } from 'chai';
import { Tensor } from '../lib/index';
import { DTYPES, round, roundAll } from '../lib/validation/number_format';
import { ACTIVATIONS, batchStatistics, forEachOfChannel, viewOf } from '../lib/validation/oracle';
import { backwardBound, forwardBound, type Pass, statisticsBound } from '../lib/validation/tolerance';
import { device } from './helpers/device';
import { layerOf, runStep, type Setup, type Step } from './helpers/layer';
import { normals } from './helpers/random';
import { expectSame, expectWithin, within } from './helpers/within';

type Given = Setup & { axis: number; x: Float64Array };

const LAYOUTS = [
  { name: 'channels first', shape: [40, 3, 59], axis: 1 },
  { name: 'channels last', shape: [40, 59, 3], axis: -1 },
] as const;
const COUNT = 40 * 3 * 59;

function passOf(setup: Given): Pass {
  const { dtype = 'float32', parameterDtype = 'float32', training = true } = setup;
  const view = viewOf(setup.shape, setup.axis);
  const statistics = training ? batchStatistics(setup.x, view) : { mean: setup.runningMean!, variance: setup.runningVar! };
  return { x: setup.x, view, statistics, layer: setup, dtype, parameterDtype };
}

/** Output and all gradients within the tolerance of ordinary data, which knows nothing of the mean. */
async function expectRight(setup: Given): Promise<Step> {
  const { dtype = 'float32', parameterDtype = 'float32', training = true } = setup;
  const dy = roundAll(normals(setup.x.length, 77), dtype);
  const weight = roundAll([1.25, -0.5, 2], parameterDtype);
  const bias = roundAll([0.1, -0.2, 0.3], parameterDtype);
  const full = { ...setup, weight, bias, dy };
  const step = await runStep(full);
  const pass = passOf(full);
  expectWithin(step.output, forwardBound(pass), dtype, 'output');
  const bounds = backwardBound(dy, pass, !training);
  expectWithin(step.gradients!.input, bounds.input, dtype, 'gradient of input');
  expectWithin(step.gradients!.weight!, bounds.weight, parameterDtype, 'gradient of weight');
  expectWithin(step.gradients!.bias!, bounds.bias, parameterDtype, 'gradient of bias');
  return step;
}

describe('adversarial data', () => {
  for (const { name, shape, axis } of LAYOUTS) {
    describe(name, () => {
      for (const mean of [1e3, -1e4, 1e5, 1e6, 1e8]) {
        it(`a mean of ${mean} and a deviation of 1 (8 at 1e8, where float32 counts in eights)`, () =>
          expectRight({ shape, axis, x: roundAll(normals(COUNT, 1, mean, mean === 1e8 ? 8 : 1), 'float32') }));
      }

      // (At 1e12 the rounding of one double is a ten-thousandth of the deviation: the tolerance of float64 says so.)
      for (const mean of [1e6, 1e9, 1e12]) {
        it(`a mean of ${mean} and a deviation of 1 in float64`, () =>
          expectRight({ shape, axis, dtype: 'float64', parameterDtype: 'float64', x: normals(COUNT, 2, mean, 1) }));
      }

      it('a different huge mean in every channel, of opposite signs', () => {
        const x = normals(COUNT, 3);
        const view = viewOf(shape, axis);
        [1e6, -1e6, 3e5].forEach((mean, c) => {
          forEachOfChannel(view, c, (i) => {
            x[i] = round(x[i]! + mean, 'float32');
          });
        });
        return expectRight({ shape, axis, x });
      });

      for (const deviation of [1e-3, 1e-5, 1e-12, 1e-20]) {
        it(`a deviation of ${deviation} around zero and around 1`, async () => {
          await expectRight({ shape, axis, x: roundAll(normals(COUNT, 4, 0, deviation), 'float32') });
          await expectRight({ shape, axis, x: roundAll(normals(COUNT, 5, 1, deviation), 'float32') });
        });
      }

      it('two neighbouring float32 values at 1e6, nothing else', () =>
        expectRight({ shape, axis, x: Float64Array.from({ length: COUNT }, (_, i) => 1e6 + (((i * 7919) % 5) % 2) / 16) }));

      for (const [where, index] of [
        ['first', 0],
        ['in the middle', COUNT >> 1],
        ['last', COUNT - 1],
      ] as const) {
        it(`one value a million deviations out, ${where}`, () => {
          const x = roundAll(normals(COUNT, 6), 'float32');
          x[index] = 1e6;
          return expectRight({ shape, axis, x });
        });
      }

      for (const distance of [1, 2, 4, 8, 16, 100, 1e4, 1e6]) {
        it(`the first values lie ${distance} deviations from the rest: a shift taken from them is off by as much`, async () => {
          for (const first of [1, 8, 64, 300]) {
            const x = normals(COUNT, 25);
            const view = viewOf(shape, axis);
            for (let c = 0; c < 3; c++) {
              let seen = 0;
              forEachOfChannel(view, c, (i) => {
                x[i] = round(x[i]! + (seen++ < first ? 0 : distance), 'float32');
              });
            }
            await expectRight({ shape, axis, x });
          }
        });

        it(`every 64th value lies ${distance} deviations from the rest, or all others do`, async () => {
          for (const [own, others] of [
            [distance, 0],
            [0, distance],
          ] as const) {
            const x = normals(COUNT, 26).map((v, i) => round(v + (Math.floor(i / 3) % 64 === 0 ? own : others), 'float32'));
            await expectRight({ shape, axis, x });
          }
        });
      }

      it('a ramp: the mean drifts through the batch', () =>
        expectRight({
          shape,
          axis,
          x: roundAll(
            Float64Array.from({ length: COUNT }, (_, i) => i * 10 - 3e4),
            'float32',
          ),
        }));

      for (const value of [0, 0.1, -3.3333, 1e6 + 0.0625, 16777215, 1e30, 1e-40]) {
        it(`constant channels of ${value}: the output is the bias exactly, gradients are finite`, async () => {
          const x = new Float64Array(COUNT).fill(round(value, 'float32'));
          const bias = roundAll([0.1, -7, 1e-3], 'float32');
          const dy = roundAll(normals(COUNT, 8), 'float32');
          const step = await runStep({ shape, axis, x, weight: [1.5, -2, 3], bias, dy });
          const view = viewOf(shape, axis);
          const expected = new Float64Array(COUNT);
          for (let c = 0; c < 3; c++) {
            forEachOfChannel(view, c, (i) => {
              expected[i] = bias[c]!;
            });
          }
          expectSame(step.output, expected, 'output');
          expect(step.gradients!.weight!.every((g) => g === 0)).to.equal(true);
          expect(step.gradients!.input.every(Number.isFinite)).to.equal(true);
        });
      }

      it('large values whose squares still fit float32', () =>
        expectRight({ shape, axis, x: roundAll(normals(COUNT, 9, 0, 1e17), 'float32') }));

      it('values whose squares fit float32 while their sum does not', () =>
        expectRight({ shape, axis, x: roundAll(normals(COUNT, 27, 0, 1e19), 'float32') }));

      it('values whose squares vanish in float32, with eps 0: the output is standardized all the same', async () => {
        const setup: Given = { shape, axis, eps: 0, x: roundAll(normals(COUNT, 28, 0, 1e-25), 'float32') };
        expectWithin((await runStep(setup)).output, forwardBound(passOf(setup)), 'float32', 'output');
      });

      it('denormals are not flushed: eval with mean 0, variance 1', async () => {
        const x = roundAll(normals(COUNT, 10, 0, 1e-40), 'float32');
        const setup: Given = { shape, axis, x, runningMean: [0, 0, 0], runningVar: [1, 1, 1], training: false };
        const step = await runStep(setup);
        expectWithin(step.output, forwardBound(passOf(setup)), 'float32', 'output');
        expect(step.output.filter((y) => y !== 0).length).to.be.greaterThan(COUNT / 2);
      });

      it('denormals of float16 in training: normalized as any other data', () => {
        const x = roundAll(normals(COUNT, 11, 0, 1e-6), 'float16');
        return expectRight({ shape, axis, x, dtype: 'float16', eps: 1e-12 });
      });

      it('float16 at its limit, ±65504', async () => {
        const x = Float64Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? 65504 : -65504));
        await expectRight({ shape, axis, x, dtype: 'float16' });
        const step = await runStep({ shape, axis, x, dtype: 'float16', momentum: 1 });
        for (const variance of step.runningVar) expect(variance).to.be.greaterThan(4e9); // far above 65504: kept in float32
      });

      it('float16 and bfloat16 outputs beyond the type become infinite, with their sign', async () => {
        for (const [dtype, big] of [
          ['float16', 65504],
          ['bfloat16', round(3e38, 'bfloat16')],
        ] as const) {
          const x = Float64Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? big : -big));
          const setup: Given = { shape, axis, x, dtype, weight: [2, 2, 2], runningMean: [0, 0, 0], runningVar: [1, 1, 1], training: false };
          const step = await runStep(setup);
          expectSame(
            step.output,
            x.map((value) => value * Number.POSITIVE_INFINITY),
            'output',
          );
        }
      });

      for (const dtype of DTYPES) {
        it(`${dtype}: a NaN makes its channel NaN, statistics included, and no other channel`, async () => {
          const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
          const clean = roundAll(normals(COUNT, 12), dtype);
          const view = viewOf(shape, axis);
          const inChannel: number[] = [];
          forEachOfChannel(view, 1, (i) => inChannel.push(i));
          for (const poison of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
            const x = clean.slice();
            x[inChannel[100]!] = poison;
            // The reference has NaN for the whole channel, and ordinary values for the others.
            const { output } = await expectRight({ shape, axis, dtype, parameterDtype, x, momentum: 1 });
            expect(output.filter(Number.isNaN)).to.have.length(inChannel.length);
            const step = await runStep({ shape, axis, dtype, parameterDtype, x, momentum: 1, runningVariance: 'biased' });
            const statistics = statisticsBound(passOf({ shape, axis, dtype, parameterDtype, x }));
            expectWithin(step.runningVar, statistics.variance, parameterDtype, 'running variance');
            // (An infinity leaves the running mean infinite, as in PyTorch.)
            expectWithin(step.runningMean, statistics.mean, parameterDtype, 'running mean');
          }
        });

        it(`${dtype}: in eval NaN and infinities pass through, element by element`, async () => {
          const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
          const x = roundAll(normals(COUNT, 14), dtype);
          const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
          special.forEach((value, k) => {
            x[k * 1000 + 1] = value;
          });
          const setup: Given = { shape, axis, dtype, parameterDtype, x, runningMean: [0, 1, 2], runningVar: [1, 2, 3], training: false };
          const step = await runStep(setup);
          expectSame(
            [1, 1001, 2001].map((i) => step.output[i]!),
            special,
            'special values',
          );
          expectWithin(step.output, forwardBound(passOf(setup)), dtype, 'output');
        });
      }

      it('a NaN in the output gradient spoils its own channel only', async () => {
        const x = roundAll(normals(COUNT, 15), 'float32');
        const dy = roundAll(normals(COUNT, 16), 'float32');
        const view = viewOf(shape, axis);
        let target = 0;
        const spoilt = new Set<number>();
        forEachOfChannel(view, 2, (i) => {
          target = i;
          spoilt.add(i);
        });
        const clean = await runStep({ shape, axis, x, dy });
        const step = await runStep({ shape, axis, x, dy: dy.map((g, i) => (i === target ? Number.NaN : g)) });
        expectSame(
          step.gradients!.input,
          clean.gradients!.input.map((g, i) => (spoilt.has(i) ? Number.NaN : g)),
          'gradient of input',
        );
      });
    });
  }

  for (const activation of ACTIVATIONS) {
    it(`${activation} of NaN is NaN; of far out values what its limit says, with finite gradients`, async () => {
      const x = [Number.NaN, 1e30, -1e30, 1e4, -1e4, 100, -100, 40, -40, 15, -15, 8, -8, 5, -5, 1e-30, -1e-30, 1e-8, -1e-8];
      for (const dtype of DTYPES) {
        const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
        const rounded = roundAll(x, dtype).map((v, i) => (Number.isFinite(v) || i === 0 ? v : Math.sign(v) * 65504));
        const setup: Given = {
          shape: [x.length, 1],
          axis: 1,
          dtype,
          parameterDtype,
          x: rounded,
          activation,
          runningMean: [0],
          runningVar: [1],
          eps: 0,
          training: false,
        };
        const step = await runStep({ ...setup, dy: new Float64Array(x.length).fill(1) });
        const pass = passOf(setup);
        expectWithin(step.output, forwardBound(pass), dtype, `output of ${dtype}`);
        // The NaN's own gradient is whatever a comparison with NaN gives: PyTorch has 1 for relu, 0.01 for leakyRelu.
        const bound = backwardBound(new Float64Array(x.length).fill(1), pass, true).input;
        const kinkless = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).slice(1);
        expectWithin(
          kinkless(step.gradients!.input),
          { expected: kinkless(bound.expected), tolerance: kinkless(bound.tolerance) },
          dtype,
          `gradient of ${dtype}`,
        );
      }
    });
  }

  it('one value per channel in eval, with residual and activation', async () => {
    const setup: Given = {
      shape: [1, 3],
      axis: 1,
      x: Float64Array.of(1, -2, 3),
      residual: [0.5, 0.5, -9],
      activation: 'relu',
      runningMean: [0, 1, 2],
      runningVar: [1, 4, 9],
      training: false,
    };
    const step = await runStep(setup);
    expectWithin(step.output, forwardBound(passOf(setup)), 'float32', 'output');
  });

  it('variance 0 in eval divides by √eps', async () => {
    const setup: Given = {
      shape: [2, 1],
      axis: 1,
      x: Float64Array.of(0.5, 1.5),
      runningMean: [0.5],
      runningVar: [0],
      eps: 1e-4,
      training: false,
    };
    const step = await runStep(setup);
    expectWithin(step.output, within([0, 100], 0, 1e-6), 'float32', 'output');
  });

  it('eps 0: exact standardization in training; in eval a variance of 0 gives nothing finite, as in PyTorch', async () => {
    await expectRight({ shape: [40, 3, 59], axis: 1, eps: 0, x: roundAll(normals(COUNT, 20, 5, 2), 'float32') });
    const step = await runStep({ shape: [3, 1], axis: 1, x: [1, 2, 0], runningMean: [1], runningVar: [0], eps: 0, training: false });
    expect(step.output.some(Number.isFinite)).to.equal(false);
  });

  it('a large eps', () => expectRight({ shape: [40, 3, 59], axis: 1, eps: 1e6, x: roundAll(normals(COUNT, 21), 'float32') }));

  for (const momentum of [0, -1.2, 1, 1.5]) {
    it(`momentum ${momentum}: running = ${1 - momentum}·old + ${momentum}·new`, async () => {
      const step = await runStep({
        shape: [4, 1],
        axis: 1,
        x: [1, 2, 3, 6],
        momentum,
        runningMean: [10],
        runningVar: [20],
        runningVariance: 'biased',
      });
      expectWithin(step.runningMean, within([(1 - momentum) * 10 + momentum * 3], 0, 4e-7), 'float32', 'mean');
      expectWithin(step.runningVar, within([(1 - momentum) * 20 + momentum * 3.5], 0, 4e-7), 'float32', 'variance');
    });
  }

  it('a weight of 0 gives the bias, no input gradient, and still a weight gradient', async () => {
    const x = roundAll(normals(24, 22), 'float32');
    const dy = roundAll(normals(24, 23), 'float32');
    const step = await runStep({ shape: [12, 2], axis: 1, x, dy, weight: [0, 0], bias: [3, -4] });
    expectSame(
      step.output,
      x.map((_, i) => (i % 2 === 0 ? 3 : -4)),
      'output',
    );
    expect(step.gradients!.input.every((g) => g === 0)).to.equal(true);
    expect(step.gradients!.weight!.every((g) => g !== 0)).to.equal(true);
  });

  it('the mean of one step does not leak into the next: 0, then 1e6, then 0 again', async () => {
    using layer = layerOf({ shape: [COUNT / 3, 3], x: [] });
    const outputs: number[][] = [];
    for (const mean of [0, 1e6, 0]) {
      using input = Tensor.from(roundAll(normals(COUNT, 24, mean), 'float32'), [COUNT / 3, 3], { dtype: 'float32', device });
      using output = layer.forward(input);
      outputs.push([...(await output.read())]);
    }
    expect(outputs[2]).to.deep.equal(outputs[0]);
  });
});
