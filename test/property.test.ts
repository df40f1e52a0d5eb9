/**
 * Random problems against the reference, and invariants that need none. FC_SEED repeats a run, FC_RUNS makes it longer.
 */

import { expect } from 'chai';
import * as fc from 'fast-check';
import { BatchNormError, type DType } from '../lib/index';
import { DTYPES, roundAll, unitRoundoff } from './helpers/dtype';
import { channelsOf, type ParameterDType, runStep, type Setup } from './helpers/layer';
import { normals, uniform } from './helpers/random';
import { backwardBound, expectWithin, forwardBound, type Pass, runningBound, statisticsBound } from './helpers/tolerance';
import { ACTIVATIONS, batchStatistics, forEachOfChannel, type Layer, normalize, storedVariance, type View, viewOf } from './oracle';

const seed = Number(process.env.FC_SEED ?? 20240607);
const numRuns = Number(process.env.FC_RUNS ?? 200);

/** Elements at most: the reference is plain JavaScript. */
const LARGEST = 20000;

/** Sizes 0 … 70, mostly small, now and then none. */
const size = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 30, arbitrary: fc.integer({ min: 1, max: 70 }) });

/** Shape and axis: rank 2 … 5, the product of the sizes after the axis at most 300, any channel count from 1 to 70. */
const shapeAndAxis = fc
  .tuple(fc.array(size, { maxLength: 3 }), fc.integer({ min: 1, max: 70 }), fc.array(size, { maxLength: 3 }), fc.boolean())
  .map(([before, channels, after, negative]) => {
    const outer = before.length + after.length === 0 ? [4] : before.slice(0, 4 - after.length);
    const inner = shrink(after, 300);
    const room = LARGEST / (channels * Math.max(1, product(inner)));
    const shape = [...shrink(outer, room), channels, ...inner];
    return { shape, axis: negative ? outer.length - shape.length : outer.length };
  });

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** Halves the largest size until the product fits. */
function shrink(sizes: readonly number[], limit: number): number[] {
  const fitted = [...sizes];
  while (product(fitted) > Math.max(1, limit)) {
    const largest = fitted.indexOf(Math.max(...fitted));
    fitted[largest] = Math.ceil(fitted[largest]! / 2);
  }
  return fitted;
}

const dtypes = fc.oneof(
  fc.record({ dtype: fc.constantFrom<DType>(...DTYPES), parameterDtype: fc.constant<ParameterDType>('float32') }),
  fc.record({ dtype: fc.constantFrom<DType>('float32', 'float64'), parameterDtype: fc.constant<ParameterDType>('float64') }),
);

const options = fc.record({
  affine: fc.constantFrom<boolean | 'weight' | 'bias'>(true, true, true, false, 'weight', 'bias'),
  activation: fc.constantFrom(...ACTIVATIONS),
  eps: fc.constantFrom(1e-5, 1e-3, 0.5),
  momentum: fc.constantFrom(0.1, 0.9, 1, 0, -0.5, null),
  runningVariance: fc.constantFrom<'unbiased' | 'biased'>('unbiased', 'biased'),
  withResidual: fc.boolean(),
  mean: fc.constantFrom(0, 0, 3, -100, 1e4),
  deviation: fc.constantFrom(1, 1, 30, 0.01),
  seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
});

type Options = typeof options extends fc.Arbitrary<infer T> ? T : never;

const problem = fc.tuple(shapeAndAxis, dtypes, options, fc.boolean()).map(([where, types, chosen, training]) => ({
  ...where,
  ...types,
  ...chosen,
  training,
}));

type Problem = Options & { shape: number[]; axis: number; dtype: DType; parameterDtype: ParameterDType; training: boolean };

/** Data of the problem, every value representable in the type it will have. */
function setupOf(p: Problem) {
  const count = product(p.shape);
  const channels = channelsOf(p.shape, p.axis);
  const positive = uniform(p.seed + 5);
  const parameters = (offset: number, mean: number): Float64Array => roundAll(normals(channels, p.seed + offset, mean), p.parameterDtype);
  return {
    shape: p.shape,
    axis: p.axis,
    dtype: p.dtype,
    parameterDtype: p.parameterDtype,
    x: roundAll(normals(count, p.seed, p.mean, p.deviation), p.dtype),
    weight: p.affine === true || p.affine === 'weight' ? parameters(1, 1) : null,
    bias: p.affine === true || p.affine === 'bias' ? parameters(2, 0) : null,
    residual: p.withResidual ? roundAll(normals(count, p.seed + 3), p.dtype) : null,
    activation: p.activation,
    eps: p.eps,
    momentum: p.momentum,
    runningVariance: p.runningVariance,
    runningMean: parameters(4, p.mean),
    runningVar: roundAll(
      Float64Array.from({ length: channels }, () => (positive() < 0.05 ? 0 : 2 * p.deviation ** 2 * positive())),
      p.parameterDtype,
    ),
    training: p.training,
    dy: roundAll(normals(count, p.seed + 6), p.dtype),
  };
}

function passOf(setup: ReturnType<typeof setupOf>): Pass {
  const view = viewOf(setup.shape, setup.axis);
  const layer: Layer = setup;
  const statistics = setup.training ? batchStatistics(setup.x, view) : { mean: setup.runningMean, variance: setup.runningVar };
  return { x: setup.x, view, statistics, layer, dtype: setup.dtype, parameterDtype: setup.parameterDtype };
}

/** At a kink the derivative is decided by the last rounding: no gradient arrives there. */
function keepOffKinks(dy: ArrayLike<number>, pass: Pass): Float64Array {
  const kinked = pass.layer.activation === 'relu' || pass.layer.activation === 'leakyRelu';
  if (!kinked) return Float64Array.from(dy);
  const { pre } = normalize(pass.x, pass.view, pass.statistics, pass.layer);
  const { tolerance } = forwardBound(pass);
  return Float64Array.from(dy, (g, i) => (Math.abs(pre[i]!) <= tolerance[i]! ? 0 : g));
}

const valuesPerChannel = (view: View): number => view.outer * view.inner;

async function expectRefused(setup: Setup): Promise<void> {
  let error: unknown;
  await runStep(setup).catch((thrown: unknown) => {
    error = thrown;
  });
  expect(error).to.be.instanceOf(BatchNormError).with.property('code', 'ERR_SHAPE');
  expect((error as Error).message).to.include('more than 1 value per channel');
}

async function expectEmpty(setup: ReturnType<typeof setupOf>): Promise<void> {
  const step = await runStep(setup);
  expect(step.output).to.have.length(0);
  expect([...step.runningMean]).to.deep.equal([...setup.runningMean]);
  expect([...step.runningVar]).to.deep.equal([...setup.runningVar]);
  expect(step.gradients!.input).to.have.length(0);
  for (const gradient of [step.gradients!.weight, step.gradients!.bias])
    if (gradient) expect(gradient.every((g) => g === 0)).to.equal(true);
}

describe('random problems', function () {
  this.timeout(60_000 + numRuns * 500);
  before(() => console.log(`    FC_SEED=${seed} FC_RUNS=${numRuns}`));

  it('agree with the float64 reference: output, running statistics, all gradients', () =>
    fc.assert(
      fc.asyncProperty(problem, async (p) => {
        const setup = setupOf(p);
        const pass = passOf(setup);
        const count = valuesPerChannel(pass.view);
        if (count === 0) return expectEmpty(setup);
        if (count === 1 && p.training) return expectRefused(setup);
        const dy = keepOffKinks(setup.dy, pass);
        const step = await runStep({ ...setup, dy });
        expectWithin(step.output, forwardBound(pass), p.dtype, 'output');
        const bounds = backwardBound(dy, pass, !p.training);
        const gradients = step.gradients!;
        expectWithin(gradients.input, bounds.input, p.dtype, 'gradient of input');
        if (setup.weight) expectWithin(gradients.weight!, bounds.weight, p.parameterDtype, 'gradient of weight');
        else expect(gradients.weight).to.equal(null);
        if (setup.bias) expectWithin(gradients.bias!, bounds.bias, p.parameterDtype, 'gradient of bias');
        else expect(gradients.bias).to.equal(null);
        if (setup.residual) expectWithin(gradients.residual!, bounds.residual, p.dtype, 'gradient of residual');
        const momentum = p.momentum ?? 1; // the first pass of a cumulative average takes the batch alone
        if (!p.training) {
          expect([...step.runningMean]).to.deep.equal([...setup.runningMean]);
          expect([...step.runningVar]).to.deep.equal([...setup.runningVar]);
          return;
        }
        const batch = statisticsBound(pass);
        const factor = storedVariance([1], pass.view, p.runningVariance)[0]!;
        const variance = {
          expected: storedVariance(batch.variance.expected, pass.view, p.runningVariance),
          tolerance: Float64Array.from(batch.variance.tolerance, (t) => t * factor),
        };
        expectWithin(
          step.runningMean,
          runningBound(setup.runningMean, batch.mean, momentum, p.parameterDtype),
          p.parameterDtype,
          'running mean',
        );
        expectWithin(
          step.runningVar,
          runningBound(setup.runningVar, variance, momentum, p.parameterDtype),
          p.parameterDtype,
          'running variance',
        );
      }),
      { seed, numRuns },
    ));

  const some = { seed, numRuns: Math.ceil(numRuns / 4) };
  const trainable = problem.map((p) => ({ ...p, training: true })).filter((p) => valuesPerChannel(viewOf(p.shape, p.axis)) > 1);

  it('have input gradients in training that sum to zero over each channel', () =>
    fc.assert(
      fc.asyncProperty(trainable, async (p) => {
        const setup = setupOf(p);
        const { gradients } = await runStep(setup);
        const view = viewOf(p.shape, p.axis);
        const tolerance = backwardBound(setup.dy, passOf(setup), false).input.tolerance;
        for (let c = 0; c < view.channels; c++) {
          let sum = 0;
          let allowed = 0;
          forEachOfChannel(view, c, (i) => {
            sum += gradients!.input[i]!;
            allowed += tolerance[i]! + 2 * unitRoundoff(p.dtype) * Math.abs(gradients!.input[i]!) + 2 ** -24; // half types: subnormals
          });
          expect(Math.abs(sum)).to.be.at.most(allowed);
        }
      }),
      some,
    ));

  it('have no input gradient where the output gradient is constant, and count it in the bias', () =>
    fc.assert(
      fc.asyncProperty(trainable, async (p) => {
        const setup = { ...setupOf({ ...p, activation: 'identity', affine: true }), residual: null };
        const dy = new Float64Array(setup.x.length).fill(1);
        const { gradients } = await runStep({ ...setup, dy });
        const bounds = backwardBound(dy, passOf(setup), false);
        const m = valuesPerChannel(viewOf(p.shape, p.axis));
        const constant = (bound: { tolerance: ArrayLike<number> }, value: number) => ({
          expected: Float64Array.from(bound.tolerance, () => value),
          tolerance: bound.tolerance,
        });
        expectWithin(gradients!.input, constant(bounds.input, 0), p.dtype, 'gradient of input');
        expectWithin(gradients!.weight!, constant(bounds.weight, 0), p.parameterDtype, 'gradient of weight');
        expectWithin(gradients!.bias!, constant(bounds.bias, m), p.parameterDtype, 'gradient of bias');
      }),
      some,
    ));

  it('give the same bits in place', () =>
    fc.assert(
      fc.asyncProperty(problem, async (p) => {
        const { dy: _, ...setup } = setupOf(p);
        if (valuesPerChannel(viewOf(p.shape, p.axis)) === 1) setup.training = false;
        const apart = await runStep(setup);
        const inPlace = await runStep({ ...setup, inPlace: true });
        expect(inPlace).to.deep.equal(apart);
      }),
      some,
    ));

  it('give the same bits in eval with channels last as with channels first', () =>
    fc.assert(
      fc.asyncProperty(problem, async (p) => {
        const { dy: _, ...setup } = setupOf({ ...p, training: false });
        const view = viewOf(p.shape, p.axis);
        const last = (index: number): number => {
          const i = index % view.inner;
          const c = Math.floor(index / view.inner) % view.channels;
          const o = Math.floor(index / (view.inner * view.channels));
          return (o * view.inner + i) * view.channels + c;
        };
        const toLast = (values: ArrayLike<number>): Float64Array => {
          const moved = new Float64Array(values.length);
          for (let index = 0; index < values.length; index++) moved[last(index)] = values[index]!;
          return moved;
        };
        const first = await runStep(setup);
        const second = await runStep({
          ...setup,
          shape: [view.outer, view.inner, view.channels],
          axis: -1,
          x: toLast(setup.x),
          residual: setup.residual && toLast(setup.residual),
        });
        expect(Float64Array.from(second.output)).to.deep.equal(toLast(first.output));
      }),
      some,
    ));

  it('do not notice a constant added to the input of training', () =>
    fc.assert(
      fc.asyncProperty(
        trainable.filter((p) => p.dtype === 'float32' || p.dtype === 'float64'),
        async (p) => {
          const { dy: _, ...setup } = setupOf({ ...p, mean: 0, deviation: 1 });
          // Multiples of 2^-8 below 2^3 stay exact in float32 when 4096 is added.
          const x = Float64Array.from(setup.x, (value) => Math.round(value * 256) / 256);
          const shifted = await runStep({ ...setup, x: x.map((value) => value + 4096) });
          const pass = passOf({ ...setup, x, dy: x });
          expectWithin(shifted.output, forwardBound(pass), p.dtype, 'output');
        },
      ),
      some,
    ));
});
