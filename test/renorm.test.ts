/** Batch renormalization against plain batch norm with the corrected scale and shift, and against differences of its own forward pass. */

import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, type BatchNormOptions, batchNormBackward, batchNormTraining, type DType, type Renorm, Tensor } from '../lib/index';
import { roundAll } from '../lib/validation/number_format';
import { ACTIVATIONS, batchStatistics, viewOf } from '../lib/validation/oracle';
import { affordable, device } from './helpers/device';
import { expectError } from './helpers/failure';
import { normals } from './helpers/random';

const C = 3;
const SHAPE = [5, C, 2] as const;
const COUNT = 5 * C * 2;
const EPS = 0.1;

interface Case {
  readonly x: Float64Array;
  readonly weight: Float64Array;
  readonly bias: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVar: Float64Array;
  readonly residual?: Float64Array;
}

function caseOf(seed: number): Case {
  return {
    x: normals(COUNT, seed, 0.5, 1.5),
    weight: normals(C, seed + 1, 1, 0.5),
    bias: normals(C, seed + 2),
    runningMean: normals(C, seed + 3, 0.5, 0.5),
    runningVar: normals(C, seed + 4).map((v) => 0.5 + v * v),
  };
}

function layerOf({ weight, bias, runningMean, runningVar }: Case, options: BatchNormOptions): BatchNorm {
  const layer = new BatchNorm(weight.length, { dtype: 'float64', eps: EPS, device, ...options });
  layer.weight!.write(weight);
  layer.bias!.write(bias);
  layer.runningMean!.write(runningMean);
  layer.runningVar!.write(runningVar);
  return layer;
}

const float64 = (data: Float64Array, shape: readonly number[] = SHAPE) => Tensor.from(data, shape, { dtype: 'float64', device });
const clip = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));

/** r and d by the paper's formulas, in plain double precision. */
function correctionOf({ x, runningMean, runningVar }: Case, { rMax, dMax }: Renorm, shape: readonly number[] = SHAPE, axis = 1) {
  const { mean, variance } = batchStatistics(x, viewOf(shape, axis));
  return Array.from(runningVar, (v, c) => {
    const running = Math.sqrt(v + EPS);
    return {
      r: clip(Math.sqrt(variance[c]! + EPS) / running, 1 / rMax, rMax),
      d: clip((mean[c]! - runningMean[c]!) / running, -dMax, dMax),
    };
  });
}

type Correction = ReturnType<typeof correctionOf>;

/** With γ·r and β + γ·d. */
function corrected(given: Case, correction: Correction): Case {
  const weight = given.weight.map((w, c) => w * correction[c]!.r);
  const bias = given.bias.map((b, c) => b + given.weight[c]! * correction[c]!.d);
  return { ...given, weight, bias };
}

/** What the gradients of γ·r and β + γ·d make of that of γ. */
const weightGradient = (correction: Correction, { dWeight, dBias }: ReturnType<typeof pass>) =>
  correction.map(({ r, d }, c) => r * dWeight[c]! + d * dBias[c]!);

function pass(layer: BatchNorm, { x, residual }: Case, dy: Float64Array, shape: readonly number[] = SHAPE, dtype: DType = 'float64') {
  const tensorOf = (data: Float64Array) => Tensor.from(data, shape, { dtype, device });
  using input = tensorOf(x);
  using added = residual ? tensorOf(residual) : null;
  using output = layer.forward(input, { residual: added });
  const y = output.readSync();
  using gradOutput = tensorOf(dy);
  const { input: dx, weight, bias } = layer.backward(gradOutput);
  const take = (tensor: Tensor) => {
    using owned = tensor;
    return owned.readSync();
  };
  return { y, dx: take(dx), dWeight: take(weight!), dBias: take(bias!) };
}

const LIMITS: readonly Renorm[] = [
  { rMax: 1, dMax: 0 },
  { rMax: 1.2, dMax: 0.1 },
  { rMax: 3, dMax: 0 },
  { rMax: 1, dMax: 5 },
  { rMax: 1e6, dMax: 1e6 },
];

/** Of tensors and parameters: how far values may lie apart, as a part of themselves or of 1. */
const TOLERANCES = new Map<readonly [DType, 'float32' | 'float64'], number>([
  [['float32', 'float32'], 2e-5],
  [['float64', 'float64'], 1e-11],
  [['float32', 'float64'], 2e-5],
  [['float16', 'float32'], 2e-3],
  [['bfloat16', 'float32'], 1.6e-2],
]);

function closeAll(actual: ArrayLike<number>, wanted: ArrayLike<number>, what: string, tolerance = 1e-12): void {
  expect(actual.length, what).to.equal(wanted.length);
  for (let i = 0; i < wanted.length; ++i) {
    expect(actual[i], `${what}[${i}]`).to.be.closeTo(wanted[i]!, tolerance * Math.max(1, Math.abs(wanted[i]!)));
  }
}

describe('batch renormalization', () => {
  for (const renorm of LIMITS) {
    it(`is plain batch norm with γ·r and β + γ·d, forward and backward, at rMax ${renorm.rMax}, dMax ${renorm.dMax}`, () => {
      for (const [seed, activation] of ACTIVATIONS.entries()) {
        const given = { ...caseOf(10 * seed), ...(seed % 2 === 0 ? { residual: normals(COUNT, seed) } : {}) };
        const correction = correctionOf(given, renorm);
        const dy = normals(COUNT, seed + 500);
        using layer = layerOf(given, { renorm, activation });
        using plain = layerOf(corrected(given, correction), { activation });
        const ours = pass(layer, given, dy);
        const wanted = pass(plain, given, dy);
        closeAll(ours.y, wanted.y, `${activation}: output`);
        closeAll(ours.dx, wanted.dx, `${activation}: gradient of the input`);
        closeAll(ours.dBias, wanted.dBias, `${activation}: gradient of the bias`);
        closeAll(ours.dWeight, weightGradient(correction, wanted), `${activation}: gradient of the weight`);
        expect(layer.runningMean!.readSync()).to.deep.equal(plain.runningMean!.readSync());
        expect(layer.runningVar!.readSync()).to.deep.equal(plain.runningVar!.readSync());
      }
    });
  }

  it('gives what eval mode gives where nothing limits it', () => {
    const given = caseOf(3);
    using layer = layerOf(given, { renorm: { rMax: 1e9, dMax: 1e9 }, activation: 'tanh' });
    using input = float64(given.x);
    using inEval = layer.eval().forward(input);
    using inTraining = layer.train().forward(input);
    closeAll(inTraining.readSync(), inEval.readSync(), 'output');
  });

  it('has the gradients of its own forward pass where r and d are at their limits, and so constant', () => {
    const renorm = { rMax: 1.05, dMax: 0.01 };
    const step = 1e-5;
    for (const activation of ['identity', 'silu'] as const) {
      const given = caseOf(7);
      const correction = correctionOf(given, renorm);
      for (const { r, d } of correction) {
        expect(Math.abs(Math.log(r))).to.be.closeTo(Math.log(renorm.rMax), 1e-12);
        expect(Math.abs(d)).to.equal(renorm.dMax);
      }
      const dy = normals(COUNT, 99);
      const loss = (changed: Case): number => {
        using layer = layerOf(changed, { renorm, activation });
        using input = float64(changed.x);
        using output = layer.forward(input, { saveForBackward: false });
        return Array.from(output.readSync()).reduce((sum, y, i) => sum + y * dy[i]!, 0);
      };
      using layer = layerOf(given, { renorm, activation });
      const { dx, dWeight, dBias } = pass(layer, given, dy);
      for (const [name, gradient] of [
        ['x', dx],
        ['weight', dWeight],
        ['bias', dBias],
      ] as const) {
        for (let i = 0; i < gradient.length; ++i) {
          const moved = (by: number) => loss({ ...given, [name]: given[name].map((v, j) => (i === j ? v + by : v)) });
          const numeric = (moved(step) - moved(-step)) / (2 * step);
          expect(gradient[i], `${activation}: ${name}[${i}]`).to.be.closeTo(numeric, 2e-8 * Math.max(1, Math.abs(numeric)));
        }
      }
    }
  });

  it('recovers x̂ in place', () => {
    const given = caseOf(5);
    const renorm = { rMax: 1.2, dMax: 0.1 };
    const dy = normals(COUNT, 6);
    using apart = layerOf(given, { renorm, activation: 'leakyRelu' });
    using inPlace = layerOf(given, { renorm, activation: 'leakyRelu', inPlace: true });
    const wanted = pass(apart, given, dy);
    using input = float64(given.x);
    inPlace.forward(input);
    closeAll(input.readSync(), wanted.y, 'output');
    using gradOutput = float64(dy);
    const gradients = inPlace.backward(gradOutput);
    using dx = gradients.input;
    using dWeight = gradients.weight!;
    using dBias = gradients.bias!;
    closeAll(dx.readSync(), wanted.dx, 'gradient of the input');
    closeAll(dWeight.readSync(), wanted.dWeight, 'gradient of the weight');
    closeAll(dBias.readSync(), wanted.dBias, 'gradient of the bias');
  });

  it('is plain batch norm with γ·r and β + γ·d: any shape, axis, dtype, activation', () => {
    const dtypes = fc.constantFrom(...TOLERANCES.keys());
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 4 }),
        fc.nat(),
        dtypes,
        fc.constantFrom(...ACTIVATIONS),
        fc.boolean(),
        fc.nat({ max: 1e6 }),
        (shape, anyAxis, dtypes, activation, withResidual, seed) => {
          const axis = anyAxis % shape.length;
          const channels = shape[axis]!;
          const count = shape.reduce((a, b) => a * b, 1);
          fc.pre(count / channels > 1);
          const [dtype, parameterDtype] = dtypes;
          const given = {
            x: roundAll(normals(count, seed, 3), dtype),
            weight: normals(channels, seed + 1, 1, 0.5),
            bias: normals(channels, seed + 2),
            runningMean: roundAll(normals(channels, seed + 3, 3, 0.5), parameterDtype),
            runningVar: roundAll(
              normals(channels, seed + 4).map((v) => 0.5 + v * v),
              parameterDtype,
            ),
          };
          const renorm = { rMax: 1.5, dMax: 0.5 };
          const correction = correctionOf(given, renorm, shape, axis);
          const options = { axis, activation, dtype: parameterDtype };
          using layer = layerOf(given, { ...options, renorm });
          using plain = layerOf(corrected(given, correction), options);
          const residual = withResidual ? normals(count, seed + 5) : undefined;
          const dy = normals(count, seed + 6);
          const [ours, wanted] = [layer, plain].map((each) => pass(each, { ...given, ...(residual && { residual }) }, dy, shape, dtype));
          const tolerance = TOLERANCES.get(dtypes)!;
          closeAll(ours!.y, wanted!.y, 'output', tolerance);
          closeAll(ours!.dx, wanted!.dx, 'gradient of the input', tolerance);
          const ofSums = (parameterDtype === 'float64' && dtype === 'float64' ? 1e-13 : 1e-6) * (count / channels + 10);
          closeAll(ours!.dBias, wanted!.dBias, 'gradient of the bias', ofSums);
          closeAll(ours!.dWeight, weightGradient(correction, wanted!), 'gradient of the weight', ofSums);
          closeAll(layer.runningMean!.readSync(), plain.runningMean!.readSync(), 'running mean', 1e-6);
          closeAll(layer.runningVar!.readSync(), plain.runningVar!.readSync(), 'running variance', 1e-6);
        },
      ),
      { numRuns: affordable(150, 40), seed: 1 },
    );
  });

  it('knows variances that its parameters could not hold', () => {
    for (const [unit, eps, r] of [
      [3e19, 1e-5, 3],
      [1e-25, 0, 1 / 3],
    ] as const) {
      using layer = new BatchNorm(1, { device, eps, renorm: { rMax: 3, dMax: 5 } });
      layer.bias!.write([7]);
      using input = Tensor.from([unit, -unit, 3 * unit, -3 * unit], [4, 1], { device });
      using output = layer.forward(input);
      const wanted = [1, -1, 3, -3].map((v) => 7 + (r * v) / Math.sqrt(5));
      closeAll(output.readSync(), wanted, `values around ${unit}`, 1e-6);
    }
  });

  it('works where a channel is all blocks of a device: large and odd shapes, channels first and last', () => {
    const shapes: readonly (readonly [shape: readonly number[], axis: number])[] = [
      [[64, 3, affordable(5000, 300)], 1],
      [[affordable(20_000, 900), 5], -1],
      [[9, 33, 7, 7], 1],
      [[3, 700, 2], 1],
    ];
    for (const [shape, axis] of shapes) {
      const channels = shape.at(axis)!;
      const count = shape.reduce((a, b) => a * b, 1);
      using layer = new BatchNorm(channels, { axis, device, renorm: { rMax: 1e9, dMax: 1e9 }, activation: 'relu' });
      layer.runningMean!.write(normals(channels, 1));
      layer.runningVar!.write(normals(channels, 2).map((v) => 0.5 + v * v));
      using input = Tensor.from(normals(count, 3, 1), shape, { device });
      using residual = Tensor.from(normals(count, 4), shape, { device });
      using inEval = layer.eval().forward(input, { residual });
      using inTraining = layer.train().forward(input, { residual });
      const wanted = inEval.readSync();
      let worst = 0;
      for (const [i, value] of inTraining.readSync().entries()) {
        worst = Math.max(worst, Math.abs(value - wanted[i]!) / Math.max(1, Math.abs(wanted[i]!)));
      }
      expect(worst, `[${shape.join(', ')}]`).to.be.lessThan(1e-5);
    }
  });

  it('may be set while training goes on, and eval mode does not heed it', () => {
    const given = caseOf(1);
    using layer = layerOf(given, {});
    expect(layer.renorm).to.equal(null);
    layer.renorm = { rMax: 3, dMax: 5 };
    expect(layer.renorm).to.deep.equal({ rMax: 3, dMax: 5 });
    expect(`${layer}`).to.include('renorm: { rMax: 3, dMax: 5 }');
    using input = float64(given.x);
    using plainEval = layerOf(given, {}).eval().forward(input);
    using renormEval = layer.eval().forward(input);
    expect(renormEval.readSync()).to.deep.equal(plainEval.readSync());
    using wanted = layerOf(given, { renorm: { rMax: 3, dMax: 5 } }).forward(input);
    using output = layer.train().forward(input);
    expect(output.readSync()).to.deep.equal(wanted.readSync());
    layer.renorm = null;
    expect(layer.renorm).to.equal(null);
  });

  it('lets NaN through', () => {
    const given = caseOf(2);
    given.x[0] = Number.NaN;
    using layer = layerOf(given, { renorm: { rMax: 3, dMax: 5 } });
    using input = float64(given.x);
    using output = layer.forward(input);
    const y = output.readSync();
    expect(Array.from(y, (value, i) => Number.isNaN(value) === (Math.floor(i / 2) % C === 0))).to.not.include(false);
  });

  it('is in the functional form too, with r and d among the statistics', () => {
    const given = caseOf(4);
    const renorm = { rMax: 1.2, dMax: 0.1 };
    const eps = 0.1;
    using layer = layerOf(given, { renorm });
    const dy = normals(COUNT, 8);
    const wanted = pass(layer, given, dy);
    using input = float64(given.x);
    using weight = float64(given.weight, [C]);
    using bias = float64(given.bias, [C]);
    using runningMean = float64(given.runningMean, [C]);
    using runningVar = float64(given.runningVar, [C]);
    const result = batchNormTraining(input, { weight, bias, runningMean, runningVar, eps, renorm });
    using output = result.output;
    using statistics = result.statistics;
    expect(output.readSync()).to.deep.equal(wanted.y);
    expect(statistics.shape).to.deep.equal([5, C]);
    const correction = correctionOf(given, renorm);
    closeAll(statistics.readSync().subarray(3 * C), [...correction.map(({ r }) => r), ...correction.map(({ d }) => d)], 'r and d');
    using gradOutput = float64(dy);
    const gradients = batchNormBackward(gradOutput, input, { statistics, weight, bias, eps, renorm });
    using dx = gradients.input;
    using dWeight = gradients.weight!;
    gradients.bias!.dispose();
    expect(dx.readSync()).to.deep.equal(wanted.dx);
    expect(dWeight.readSync()).to.deep.equal(wanted.dWeight);
    expectError(() => batchNormTraining(input, { renorm }), 'ERR_INVALID_ARGUMENT', 'running statistics', 'renorm', 'options.runningMean');
    expectError(() => batchNormBackward(gradOutput, input, { statistics, weight, bias }), 'ERR_SHAPE', 'shape [3, 3]');
    const constant = { mean: runningMean, variance: runningVar, renorm };
    expectError(() => batchNormBackward(gradOutput, input, constant), 'ERR_INVALID_ARGUMENT', 'options.renorm');
  });

  it('says what it takes', () => {
    const make =
      (renorm: unknown, more: BatchNormOptions = {}) =>
      () =>
        new BatchNorm(C, { device, ...more, renorm: renorm as Renorm });
    expectError(make(3), 'ERR_INVALID_ARGUMENT', '{ rMax, dMax }', 'options.renorm', '3');
    expectError(make({ rMax: 0.5, dMax: 0 }), 'ERR_INVALID_ARGUMENT', 'at least 1', 'options.renorm.rMax', '0.5');
    expectError(make({ rMax: 1, dMax: -1 }), 'ERR_INVALID_ARGUMENT', 'at least 0', 'options.renorm.dMax', '-1');
    expectError(make({ rMax: Number.NaN, dMax: 0 }), 'ERR_INVALID_ARGUMENT', 'options.renorm.rMax');
    expectError(make({ rMax: 1 }), 'ERR_INVALID_ARGUMENT', 'options.renorm.dMax', 'undefined');
    expectError(make({ rMax: 1, dMax: 0, rmax: 2 }), 'ERR_INVALID_ARGUMENT', 'options.renorm', 'rmax');
    expectError(make([3, 5]), 'ERR_INVALID_ARGUMENT', 'options.renorm', '[ 3, 5 ]');
    expectError(make({ rMax: 1, dMax: 0 }, { trackRunningStats: false }), 'ERR_INVALID_ARGUMENT', 'running statistics');
    using layer = new BatchNorm(C, { device, renorm: { rMax: 2, dMax: 1 } });
    expectError(
      () => {
        layer.renorm = { rMax: 0.5, dMax: 0 };
      },
      'ERR_INVALID_ARGUMENT',
      'at least 1',
      'rMax',
    );
    expect(layer.renorm, 'nobody changes them in secret').to.deep.equal({ rMax: 2, dMax: 1 }).and.to.be.frozen;
    using untracked = new BatchNorm(C, { device, trackRunningStats: false });
    expectError(
      () => {
        untracked.renorm = { rMax: 1, dMax: 0 };
      },
      'ERR_INVALID_ARGUMENT',
      'running statistics',
    );
  });
});
