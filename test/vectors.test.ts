/**
 * Other projects' own test values, each case of each file, with every conversion of convention written out:
 * ours: momentum is the weight of the new value; the running variance is 'unbiased' or 'biased'; weight before bias.
 */

import { expect } from 'chai';
import { BatchNormError, batchNormBackward, Tensor } from '../lib/index';
import { batchStatistics, type Layer, type Statistics, type Values, viewOf } from '../lib/validation/oracle';
import { backwardBound, forwardBound, type Pass } from '../lib/validation/tolerance';
import { device } from './helpers/device';
import { runStep, type Setup } from './helpers/layer';
import { withShared } from './helpers/shared';
import { expectWithin, within } from './helpers/within';

interface Shaped {
  shape: number[];
  data: number[];
}

function passOf(x: Shaped, axis: number, given: Statistics | null, layer: Layer): Pass {
  const view = viewOf(x.shape, axis);
  return { x: x.data, view, statistics: given ?? batchStatistics(x.data, view), layer, dtype: 'float32', parameterDtype: 'float32' };
}

/** What a file states, to the file's own tolerance; what the reference says, to float32 rounding. */
function expectBoth(actual: Values, stated: Values, tolerance: number, pass: Pass, what: string): void {
  const bound = forwardBound(pass);
  expectWithin(actual, bound, 'float32', `${what}, against the reference`);
  const own = Float64Array.from(bound.tolerance, (t) => t + tolerance);
  expectWithin(actual, { expected: stated, tolerance: own }, 'float32', `${what}, against the file`);
}

interface OnnxCase {
  name: string;
  epsilon: number;
  momentum: number;
  training_mode: boolean;
  inputs: { x: Shaped; scale: number[]; bias: number[]; mean: number[]; var: number[] };
  outputs: { y: Shaped; running_mean?: number[]; running_var?: number[] };
  verification: { y_max_abs: number; output_mean?: [string, number][]; output_var?: [string, number][] };
}

describe('ONNX BatchNormalization-15', () => {
  for (const file of ['test_batchnorm_example.json', 'test_batchnorm_example_training_mode.json']) {
    withShared<OnnxCase>(`vectors/${file}`, ({ name, epsilon, momentum, training_mode, inputs, outputs, verification }) => {
      it(name, async () => {
        const { x, scale, bias, mean, var: variance } = inputs;
        const step = await runStep({
          shape: x.shape,
          x: x.data,
          axis: 1, // X is N × C × D1 × D2 …
          eps: epsilon,
          momentum: 1 - momentum, // ONNX weighs the old value
          runningVariance: 'biased', // "running_var = input_var * momentum + current_var * (1 - momentum)" with the population variance
          weight: scale,
          bias,
          runningMean: mean,
          runningVar: variance,
          training: training_mode,
        });
        const pass = passOf(x, 1, training_mode ? null : { mean, variance }, { weight: scale, bias, eps: epsilon });
        expectBoth(step.output, outputs.y.data, verification.y_max_abs, pass, 'Y');
        // The file's running statistics were computed in float32: its own recorded differences from float64 are the tolerance.
        const meanTolerance = verification.output_mean?.find(([formula]) => formula === 'rm_keepold')?.[1] ?? 0;
        const varTolerance = verification.output_var?.find(([formula]) => formula === 'rv_biased_keepold')?.[1] ?? 0;
        expectWithin(step.runningMean, within(outputs.running_mean ?? mean, meanTolerance, 1e-7), 'float32', 'running_mean');
        expectWithin(step.runningVar, within(outputs.running_var ?? variance, varTolerance, 1e-7), 'float32', 'running_var');
      });
    });
  }
});

interface FrameworkCase {
  name: string;
  mode: 'training' | 'inference' | 'training_gradient_with_given_batch_statistics';
  channel_axis: number;
  epsilon: number;
  x: Shaped;
  dy?: number[];
  scale: number[] | null;
  bias: number[] | null;
  mean?: number[];
  var?: number[];
  expected: {
    y?: number[];
    batch_mean?: number[];
    batch_var?: number[];
    dx?: number[];
    dscale?: number[];
    dbias?: number[];
  };
  tolerance?: { atol: number };
}

/** `batchVariance`: which variance the framework returns beside the output. */
async function checkFrameworkCase(test: FrameworkCase, batchVariance: 'unbiased' | 'biased'): Promise<void> {
  const { x, channel_axis: axis, epsilon: eps, expected } = test;
  const weight = test.scale;
  const bias = test.bias;
  const atol = test.tolerance?.atol ?? 0; // without one the file's values are exact: float32 rounding is all that is allowed
  const given = test.mean && test.var ? { mean: test.mean, variance: test.var } : null;
  const pass = passOf(x, axis, given, { weight, bias, eps });
  if (test.mode === 'training_gradient_with_given_batch_statistics') {
    await checkGradientWithGivenStatistics(test, pass, atol);
    return;
  }
  const setup: Setup = { shape: x.shape, x: x.data, axis, eps, weight, bias, training: test.mode === 'training' };
  if (given) Object.assign(setup, { runningMean: given.mean, runningVar: given.variance });
  // Momentum 1 keeps nothing of the old value: the running statistics are then the batch's, as these frameworks return them.
  const step = await runStep({ ...setup, momentum: 1, runningVariance: batchVariance });
  expectBoth(step.output, expected.y!, atol, pass, 'y');
  if (expected.batch_mean) expectWithin(step.runningMean, within(expected.batch_mean, 0, 1e-6), 'float32', 'batch_mean');
  if (expected.batch_var) expectWithin(step.runningVar, within(expected.batch_var, 0, 1e-6), 'float32', 'batch_var');
}

/** These frameworks hand the batch's mean and biased variance to the gradient: our saved statistics, [mean, 0, variance]. */
async function checkGradientWithGivenStatistics(test: FrameworkCase, pass: Pass, atol: number): Promise<void> {
  const { x, dy, scale, mean, expected } = test;
  using gradOutput = Tensor.from(dy!, x.shape, { device });
  using input = Tensor.from(x.data, x.shape, { device });
  using weight = Tensor.from(scale!, [scale!.length], { device });
  using statistics = Tensor.from([...mean!, ...mean!.map(() => 0), ...test.var!], [3, mean!.length], { device });
  using bias = Tensor.zeros([scale!.length], { device }); // a gradient is given for the parameters there are
  const gradients = batchNormBackward(gradOutput, input, { axis: test.channel_axis, eps: test.epsilon, weight, bias, statistics });
  const bounds = backwardBound(dy!, pass, false);
  for (const [name, stated] of [
    ['input', expected.dx!],
    ['weight', expected.dscale!],
    ['bias', expected.dbias!],
  ] as const) {
    using tensor = gradients[name]!;
    const actual = await tensor.read();
    expectWithin(actual, bounds[name], 'float32', `gradient of ${name}, against the reference`);
    const tolerance = Float64Array.from(bounds[name].tolerance, (t) => t + atol);
    expectWithin(actual, { expected: stated, tolerance }, 'float32', `gradient of ${name}, against the file`);
  }
}

describe('TensorFlow FusedBatchNorm', () => {
  withShared<{ cases: FrameworkCase[] }>('vectors/tensorflow_fused_batch_norm.json', ({ cases }) => {
    it('has the three cases these tests know', () => expect(cases).to.have.length(3));
    // The batch variance it returns is Bessel corrected, while it normalizes with the biased one.
    for (const test of cases) it(test.name, () => checkFrameworkCase(test, 'unbiased'));
  });

  // The analytic tests of the same file, described in its note.
  for (const [layout, shape, axis, atol] of [
    ['NHWC', [2, 100, 100, 4], 3, 25],
    ['NCHW', [2, 4, 100, 100], 1, 10],
  ] as const) {
    it(`analytic training, ${layout}: x = 2i + 1 in every channel`, async () => {
      const pixel = (index: number): number => (axis === 1 ? index % 1e4 : Math.floor(index / 4) % 1e4);
      const x = Float64Array.from({ length: 80000 }, (_, index) => 2 * pixel(index) + 1);
      const mean = 10000;
      const variance = ((2 * 10000 - 1) * (2 * 10000 + 1)) / 3 - mean ** 2;
      const count = 20000;
      const four = (value: number): number[] => new Array(4).fill(value);
      const step = await runStep({
        shape,
        x,
        axis,
        eps: 1e-3,
        weight: four(2.5), // scale
        bias: four(1.5), // offset
        momentum: 1,
        runningVariance: 'unbiased',
      });
      const y = x.map((value) => (2.5 * (value - mean)) / Math.sqrt(variance + 0.001) + 1.5);
      expectWithin(step.output, within(y, 0.01), 'float32', 'y to the tolerance of the test');
      expectWithin(step.output, within(y, 2e-6), 'float32', 'y to float32 rounding');
      expectWithin(step.runningMean, within(four(mean), 0.01), 'float32', 'batch mean');
      expectWithin(step.runningVar, within(four((variance * count) / (count - 1)), atol), 'float32', 'batch variance');
    });

    it(`analytic inference, ${layout}: x = 1.7i + 1, mean 2c + 1, variance 13`, async () => {
      const pixel = (index: number): number => (axis === 1 ? index % 1e4 : Math.floor(index / 4) % 1e4);
      const channel = (index: number): number => (axis === 1 ? Math.floor(index / 1e4) % 4 : index % 4);
      const x = Float64Array.from({ length: 80000 }, (_, index) => 1.7 * pixel(index) + 1);
      const y = x.map((_, index) => (3 * (1.7 * pixel(index) - 2 * channel(index))) / Math.sqrt(13.001) + 2);
      const step = await runStep({
        shape,
        x,
        axis,
        eps: 1e-3,
        weight: [3, 3, 3, 3],
        bias: [2, 2, 2, 2],
        runningMean: [1, 3, 5, 7],
        runningVar: [13, 13, 13, 13],
        training: false,
      });
      expectWithin(step.output, within(y, 0.01), 'float32', 'y');
    });
  }

  it('EmptyInput has no counterpart: a layer of no channels is refused in words', async () => {
    // TensorFlow normalizes [1, 1, 0, 0] with zero channels; here a layer has at least one, and the empty batch of a layer that has is in
    // conventions.test.ts.
    let error: unknown;
    try {
      await runStep({ shape: [1, 1, 0, 0], axis: 3, x: [] });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).to.be.instanceOf(BatchNormError).with.property('code', 'ERR_INVALID_ARGUMENT');
    expect((error as Error).message).to.match(/numFeatures.* received 0/);
  });
});

describe('XLA batch normalization', () => {
  withShared<{ cases: FrameworkCase[] }>('vectors/xla_batch_normalization.json', ({ cases }) => {
    it('has the five cases these tests know', () => expect(cases).to.have.length(5));
    for (const test of cases) {
      if (test.epsilon < 0) {
        it(`${test.name} is refused in words: eps is not negative`, async () => {
          let error: unknown;
          await checkFrameworkCase(test, 'biased').catch((thrown: unknown) => {
            error = thrown;
          });
          expect(error).to.be.instanceOf(BatchNormError).with.property('code', 'ERR_INVALID_ARGUMENT');
          expect((error as Error).message).to.match(/eps.* received -100/);
        });
      } else it(test.name, () => checkFrameworkCase(test, 'biased'));
    }
  });
});

describe('WebNN baseline', () => {
  withShared<{ cases: FrameworkCase[] }>('vectors/webnn_baseline.json', ({ cases }) => {
    it('has the ten cases these tests know', () => expect(cases).to.have.length(10));
    cases.forEach((test, index) => {
      it(`${index + 1}: ${test.name}`, () => checkFrameworkCase(test, 'biased'));
      it(`${index + 1}: ${test.name}, in float64 to the file's double precision`, async () => {
        const step = await runStep({
          shape: test.x.shape,
          x: test.x.data,
          axis: test.channel_axis,
          eps: test.epsilon,
          weight: test.scale,
          bias: test.bias,
          runningMean: test.mean!,
          runningVar: test.var!,
          training: false,
          dtype: 'float64',
          parameterDtype: 'float64',
        });
        expectWithin(step.output, within(test.expected.y!, 1e-15, 2e-15), 'float64', 'y');
      });
    });
  });
});

interface TfjsCase {
  name: string;
  kind: string;
  epsilon: number;
  x: Shaped;
  mean: Shaped;
  variance: Shaped;
  offset: Shaped | null;
  scale: Shaped | null;
  dy?: Shaped;
  output: 'y' | 'dx' | 'dmean' | 'dvariance' | 'doffset' | 'dscale';
  expected: Shaped;
  expected_is: string;
  test_tolerance_abs: number;
}

/**
 * tf.batchNorm(x, mean, variance, offset, scale, varianceEpsilon) with constant statistics. 1-D parameters belong to the last axis. Parameters
 * of full rank belong to each element: every element is then a channel of its own, x seen as one row of them.
 */
async function tfjsOutput(test: TfjsCase): Promise<{ actual: Values; pass: Pass }> {
  const { x, mean, variance, offset, scale, epsilon } = test;
  const perElement = mean.shape.length === x.shape.length;
  const shape = perElement ? [1, x.data.length] : x.shape;
  const setup: Setup = {
    shape,
    x: x.data,
    axis: perElement ? 1 : -1,
    eps: epsilon,
    weight: scale?.data ?? null, // offset comes before scale there
    bias: offset?.data ?? null,
    runningMean: mean.data,
    runningVar: variance.data,
    training: false,
  };
  const given = { mean: mean.data, variance: variance.data };
  const layer = { weight: scale?.data, bias: offset?.data, eps: epsilon };
  const pass = passOf({ shape, data: x.data }, setup.axis!, given, layer);
  const step = await runStep(test.dy ? { ...setup, dy: test.dy.data } : setup);
  if (test.output === 'y') return { actual: step.output, pass };
  const { input, weight, bias } = step.gradients!;
  const deviation = (c: number): number => Math.sqrt(variance.data[c]! + epsilon);
  const outputs = {
    dx: () => input,
    doffset: () => bias!,
    dscale: () => weight!,
    // No gradient with respect to constant statistics is offered. They follow from those that are: y depends on the mean as on the
    // offset, times −scale/√(variance + ε), and on the variance as on the scale, times −scale/2(variance + ε).
    dmean: () => Float64Array.from(bias!, (d, c) => (-scale!.data[c]! / deviation(c)) * d),
    dvariance: () => Float64Array.from(weight!, (d, c) => (-scale!.data[c]! / (2 * deviation(c) ** 2)) * d),
  };
  return { actual: outputs[test.output](), pass };
}

describe('TensorFlow.js batchNorm2d, batchNorm3d, batchNorm4d', () => {
  withShared<{ cases: TfjsCase[] }>('vectors/core_batchnorm_test.json', ({ cases }) => {
    it('has the 53 cases these tests know, 16 of them with parameters for each element', () => {
      expect(cases).to.have.length(53);
      expect(cases.filter(({ x, mean }) => x.shape.length === mean.shape.length)).to.have.length(16);
    });
    cases.forEach((test, index) => {
      it(`${index + 1}: ${test.name}: ${test.output}`, async () => {
        const { actual, pass } = await tfjsOutput(test);
        // Digits typed into the test hold to its own 1e-3; a formula evaluated in float64 to float32 rounding.
        const literal = test.expected_is === 'literal in the test';
        if (test.output === 'y') expectBoth(actual, test.expected.data, literal ? 1e-7 : 0, pass, 'y');
        else expectWithin(actual, within(test.expected.data, literal ? test.test_tolerance_abs : 0, 1e-6), 'float32', test.output);
      });
    });
  });
});
