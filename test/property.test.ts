/**
 * Random problems against the reference, and invariants that need none. FC_SEED repeats a run, FC_RUNS makes it longer; on an emulated device it is shorter.
 */

import { expect } from 'chai';
import * as fc from 'fast-check';
import { BatchNormError, type DType } from '../lib/index';
import { DTYPES, roundAll, unitRoundoff } from '../lib/validation/number_format';
import { ACTIVATIONS, batchStatistics, forEachOfChannel, type Layer, storedVariance, type View, viewOf } from '../lib/validation/oracle';
import {
  backwardBound,
  forwardBound,
  type GradientBounds,
  keepOffKinks,
  type Pass,
  runningBound,
  statisticsBound,
} from '../lib/validation/tolerance';
import { emulated } from './helpers/device';
import { channelsOf, type ParameterDType, runStep, type Setup, type Step } from './helpers/layer';
import { normals, uniform } from './helpers/random';
import { expectSame, expectWithin } from './helpers/within';

const seed = Number(process.env.FC_SEED ?? 20240607);
const numRuns = Number(process.env.FC_RUNS ?? (emulated ? 40 : 200));

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

const atMost = (size: number, others: number): number => Math.max(2, Math.min(size, Math.floor(200_000 / others)));

/** Up to two hundred thousand elements: few long channels, many short ones, rows of many columns, and the sizes between. */
const largeShapeAndAxis = fc.oneof(
  fc
    .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 30_000, max: 150_000 }))
    .map(([c, inner]) => ({ shape: [1, c, atMost(inner, c)], axis: 1 })),
  fc
    .tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 80 }))
    .map(([outer, c]) => ({ shape: [outer, c, atMost(7000, outer * c)], axis: 1 })),
  fc
    .tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 40_000, max: 150_000 }))
    .map(([c, outer]) => ({ shape: [atMost(outer, c), c], axis: -1 })),
  fc
    .tuple(fc.integer({ min: 2, max: 600 }), fc.integer({ min: 2, max: 500 }))
    .map(([c, inner]) => ({ shape: [atMost(5000, c * inner), c, inner], axis: 1 })),
);

const problemOver = (shapes: fc.Arbitrary<{ shape: number[]; axis: number }>): fc.Arbitrary<Problem> =>
  fc.tuple(shapes, dtypes, options, fc.boolean()).map(([where, types, chosen, training]) => ({ ...where, ...types, ...chosen, training }));

const problem = problemOver(shapeAndAxis);
const largeProblem = problemOver(largeShapeAndAxis);

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

function passOf(setup: RandomSetup): Pass {
  const view = viewOf(setup.shape, setup.axis);
  const layer: Layer = setup;
  const statistics = setup.training ? batchStatistics(setup.x, view) : { mean: setup.runningMean, variance: setup.runningVar };
  return { x: setup.x, view, statistics, layer, dtype: setup.dtype, parameterDtype: setup.parameterDtype };
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

type RandomSetup = ReturnType<typeof setupOf>;

async function expectEmpty(setup: RandomSetup): Promise<void> {
  const step = await runStep(setup);
  expect(step.output).to.have.length(0);
  expect([...step.runningMean]).to.deep.equal([...setup.runningMean]);
  expect([...step.runningVar]).to.deep.equal([...setup.runningVar]);
  expect(step.gradients!.input).to.have.length(0);
  for (const gradient of [step.gradients!.weight, step.gradients!.bias])
    if (gradient) expect(gradient.every((g) => g === 0)).to.equal(true);
}

/** Output, running statistics and all gradients of one step, against the reference. */
async function expectAgreement(p: Problem): Promise<void> {
  const setup = setupOf(p);
  const pass = passOf(setup);
  const count = valuesPerChannel(pass.view);
  if (count === 0) return expectEmpty(setup);
  if (count === 1 && p.training) return expectRefused(setup);
  const dy = keepOffKinks(setup.dy, pass);
  const step = await runStep({ ...setup, dy });
  expectWithin(step.output, forwardBound(pass), p.dtype, 'output');
  expectGradients(step, backwardBound(dy, pass, !p.training), setup);
  if (p.training) return expectRunning(step, setup, pass);
  expectSame(step.runningMean, setup.runningMean, 'running mean');
  expectSame(step.runningVar, setup.runningVar, 'running variance');
}

function expectGradients({ gradients }: Step, bounds: GradientBounds, setup: RandomSetup): void {
  expectWithin(gradients!.input, bounds.input, setup.dtype, 'gradient of input');
  for (const [name, dtype] of [
    ['weight', setup.parameterDtype],
    ['bias', setup.parameterDtype],
    ['residual', setup.dtype],
  ] as const) {
    const gradient = gradients![name];
    expect(gradient === null, `whether ${name} has a gradient`).to.equal(setup[name] === null);
    if (gradient) expectWithin(gradient, bounds[name], dtype, `gradient of ${name}`);
  }
}

function expectRunning(step: Step, setup: RandomSetup, pass: Pass): void {
  const { parameterDtype, runningVariance } = setup;
  const momentum = setup.momentum ?? 1; // the first pass of a cumulative average takes the batch alone
  const { mean, variance } = statisticsBound(pass);
  const stored = {
    expected: storedVariance(variance.expected, pass.view, runningVariance),
    tolerance: storedVariance(variance.tolerance, pass.view, runningVariance),
  };
  expectWithin(step.runningMean, runningBound(setup.runningMean, mean, momentum, parameterDtype), parameterDtype, 'running mean');
  expectWithin(step.runningVar, runningBound(setup.runningVar, stored, momentum, parameterDtype), parameterDtype, 'running variance');
}

describe('random problems', function () {
  this.timeout(60_000 + numRuns * 500);
  before(() => console.log(`    FC_SEED=${seed} FC_RUNS=${numRuns}`));

  it('agree with the float64 reference: output, running statistics, all gradients', () =>
    fc.assert(fc.asyncProperty(problem, expectAgreement), { seed, numRuns }));

  it('agree with it too where they are large enough to be cut into pieces', () =>
    fc.assert(fc.asyncProperty(largeProblem, expectAgreement), { seed, numRuns: Math.ceil(numRuns / 20) }));

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
          const shifted = { ...setup, x: x.map((value) => value + 4096) };
          const expected = forwardBound(passOf({ ...setup, x, dy: x })).expected;
          const { tolerance } = forwardBound(passOf({ ...shifted, dy: x })); // differs from that of x in float64 only
          expectWithin((await runStep(shifted)).output, { expected, tolerance }, p.dtype, 'output');
        },
      ),
      some,
    ));
});
