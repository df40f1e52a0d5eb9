/**
 * The behaviours of a good batch norm, one group each. Where implementations differ, ours is PyTorch's unless an option says otherwise.
 */

import { existsSync, readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { expect } from 'chai';
import { BatchNorm, BatchNormError, batchNormBackward, batchNormInference, batchNormTraining, Tensor } from '../lib/index';
import { DTYPES, round, roundAll } from '../lib/validation/number_format';
import { backward, batchStatistics, forEachOfChannel, type Layer, storedVariance, type Values, viewOf } from '../lib/validation/oracle';
import { backwardBound, forwardBound, type Pass, runningBound, statisticsBound } from '../lib/validation/tolerance';
import { affordable, device, emulated } from './helpers/device';
import { layerOf, runStep, type Setup } from './helpers/layer';
import { normals } from './helpers/random';
import { skip } from './helpers/shared';
import { expectSame, expectWithin, within } from './helpers/within';

function refusal(action: () => unknown): BatchNormError {
  try {
    action();
  } catch (error) {
    if (error instanceof BatchNormError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

function passOf(setup: Setup): Pass {
  const { axis = 1, dtype = 'float32', parameterDtype = 'float32', training = true } = setup;
  const view = viewOf(setup.shape, axis);
  const statistics = training ? batchStatistics(setup.x, view) : { mean: setup.runningMean!, variance: setup.runningVar! };
  return { x: setup.x, view, statistics, layer: setup, dtype, parameterDtype };
}

const floats = (count: number, seed: number, mean = 0, deviation = 1): Float64Array =>
  roundAll(normals(count, seed, mean, deviation), 'float32');

/** `count` elements of `tensor` from `offset` on, sharing its memory: what is too large for one typed array is looked at in parts. */
function windowOf(tensor: Tensor, offset: number, count: number): Tensor {
  const start = tensor.pointer + BigInt(offset * (tensor.byteLength / tensor.size));
  return Tensor.fromPointer(start, [count], { dtype: tensor.dtype, device: tensor.device });
}

/** Bytes of the device's memory. For the CPU, of what the system counts as free the part that could be had without swapping, where it tells (Linux). */
function availableMemory(): number {
  const { limit, reserved } = device.memory();
  if (device.type !== 'cpu') return limit - reserved;
  const report = existsSync('/proc/meminfo') ? readFileSync('/proc/meminfo', 'utf8') : '';
  const line = /MemAvailable:\s+(\d+) kB/.exec(report);
  return line ? Number(line[1]) * 1024 : freemem();
}

async function read(tensor: Tensor): Promise<number[]> {
  return [...(await tensor.read())];
}

describe('1. eps lies inside the root; zero variance is finite', () => {
  it('constant input gives the bias', async () => {
    const step = await runStep({ shape: [8, 2, 3], x: new Float64Array(48).fill(0.7), weight: [2, 3], bias: [0.25, -4] });
    expectSame(
      step.output,
      Float64Array.from({ length: 48 }, (_, i) => (Math.floor(i / 3) % 2 === 0 ? 0.25 : -4)),
      'output',
    );
  });

  it('1/√(var + eps), not 1/(√var + eps)', async () => {
    const step = await runStep({ shape: [2, 1], x: [3, 5], runningMean: [3], runningVar: [3], eps: 1, training: false });
    expectSame(step.output, [0, 1], 'output'); // 2 / √4; the other formula gives 0.73
  });
});

describe('2. the running update, with selectable variance', () => {
  for (const runningVariance of ['unbiased', 'biased'] as const) {
    it(`${runningVariance}`, async () => {
      const setup: Setup = {
        shape: [5, 3, 2],
        x: floats(30, 1),
        runningMean: [1, 2, 3],
        runningVar: [1, 2, 3],
        momentum: 0.3,
        runningVariance,
      };
      const step = await runStep(setup);
      const pass = passOf(setup);
      const batch = statisticsBound(pass);
      const variance = {
        expected: storedVariance(batch.variance.expected, pass.view, runningVariance),
        tolerance: storedVariance(batch.variance.tolerance, pass.view, runningVariance),
      };
      expectWithin(step.runningMean, runningBound([1, 2, 3], batch.mean, 0.3, 'float32'), 'float32', 'mean');
      expectWithin(step.runningVar, runningBound([1, 2, 3], variance, 0.3, 'float32'), 'float32', 'variance');
    });
  }

  it('the batch is normalized with its biased variance all the same', async () => {
    for (const runningVariance of ['unbiased', 'biased'] as const) {
      const step = await runStep({ shape: [2, 1], x: [0, 2], eps: 0, runningVariance });
      expectSame(step.output, [-1, 1], 'output');
    }
  });

  it('unbiased is m/(m − 1): twice the biased one for two values', async () => {
    const step = await runStep({ shape: [2, 1], x: [0, 2], momentum: 1 });
    expectSame(step.runningVar, [2], 'running variance');
  });

  it('one value per channel divides nothing by zero: it is refused, and the statistics stay', async () => {
    using layer = new BatchNorm(2, { device });
    using input = Tensor.from([1, 2], [1, 2], { device });
    expect(refusal(() => layer.forward(input)).code).to.equal('ERR_SHAPE');
    expect(await read(layer.runningVar!)).to.deep.equal([1, 1]);
  });
});

describe('3. momentum null is a cumulative average; zero and negative momentum are legal', () => {
  it('two batches give (s1 + s2)/2, three (s1 + s2 + s3)/3', async () => {
    using layer = new BatchNorm(1, { momentum: null, device });
    const batches = [
      [1, 3],
      [5, 9],
      [2, 2],
    ];
    const means: number[] = [];
    const variances: number[] = [];
    for (const batch of batches) {
      using input = Tensor.from(batch, [2, 1], { device });
      layer.forward(input).dispose();
      means.push((await read(layer.runningMean!))[0]!);
      variances.push((await read(layer.runningVar!))[0]!);
    }
    expectWithin(means, within([2, 4.5, 11 / 3], 0, 2e-7), 'float32', 'means');
    expectWithin(variances, within([2, 5, 10 / 3], 0, 2e-7), 'float32', 'variances'); // unbiased: 2, 8, 0
  });

  it('momentum 0 keeps the old value, 1 takes the new one, −1 moves away', async () => {
    for (const [momentum, mean, variance] of [
      [0, 10, 20],
      [1, 2, 2],
      [-1, 18, 38],
    ] as const) {
      const step = await runStep({ shape: [2, 1], x: [1, 3], momentum, runningMean: [10], runningVar: [20] });
      expectSame(step.runningMean, [mean], 'mean');
      expectSame(step.runningVar, [variance], 'variance');
    }
  });
});

describe('4. numBatchesTracked counts training passes, never eval; a reset gives 0, 1, 0', () => {
  it('counts', () => {
    using layer = new BatchNorm(3, { device });
    using input = Tensor.from(floats(12, 2), [4, 3], { dtype: 'float32', device });
    expect(layer.numBatchesTracked).to.equal(0);
    layer.forward(input).dispose();
    layer.forward(input).dispose();
    expect(layer.numBatchesTracked).to.equal(2);
    layer.eval().forward(input).dispose();
    expect(layer.numBatchesTracked).to.equal(2);
    layer.train().forward(input).dispose();
    expect(layer.numBatchesTracked).to.equal(3);
  });

  it('a reset gives mean 0, variance 1, count 0', async () => {
    using layer = new BatchNorm(3, { device });
    using input = Tensor.from(floats(12, 2), [4, 3], { dtype: 'float32', device });
    layer.forward(input).dispose();
    layer.resetRunningStats();
    expect(await read(layer.runningMean!)).to.deep.equal([0, 0, 0]);
    expect(await read(layer.runningVar!)).to.deep.equal([1, 1, 1]);
    expect(layer.numBatchesTracked).to.equal(0);
  });
});

describe('5. eval', () => {
  it('without tracked statistics equals training, output and gradient', async () => {
    const x = floats(24, 3);
    const dy = floats(24, 4);
    const results: number[][][] = [];
    for (const training of [true, false]) {
      using layer = new BatchNorm(3, { trackRunningStats: false, device });
      expect(layer.runningMean).to.equal(null);
      layer.train(training);
      using input = Tensor.from(x, [4, 3, 2], { dtype: 'float32', device });
      using gradOutput = Tensor.from(dy, [4, 3, 2], { dtype: 'float32', device });
      using output = layer.forward(input, { saveForBackward: true });
      const gradients = layer.backward(gradOutput);
      results.push([await read(output), await read(gradients.input), await read(gradients.weight!), await read(gradients.bias!)]);
    }
    expect(results[1]).to.deep.equal(results[0]);
    expectWithin(results[1]![0]!, forwardBound(passOf({ shape: [4, 3, 2], x })), 'float32', 'output');
  });

  it('changes no state and repeats exactly', async () => {
    using layer = layerOf({ shape: [4, 3, 2], x: [], runningMean: [1, 2, 3], runningVar: [4, 5, 6], training: false });
    using input = Tensor.from(floats(24, 5), [4, 3, 2], { dtype: 'float32', device });
    const runs: number[][] = [];
    for (let run = 0; run < 2; run++) {
      using output = layer.forward(input);
      runs.push(await read(output));
    }
    expect(runs[1]).to.deep.equal(runs[0]);
    expect(await read(layer.runningMean!)).to.deep.equal([1, 2, 3]);
    expect(await read(layer.runningVar!)).to.deep.equal([4, 5, 6]);
    expect(layer.numBatchesTracked).to.equal(0);
  });
});

describe('6. one value per channel, and no value at all', () => {
  it('one value per channel in training is an error; in eval it is not', () => {
    for (const shape of [
      [1, 10],
      [1, 10, 1],
      [1, 10, 1, 1],
    ]) {
      using layer = new BatchNorm(10, { device });
      using input = Tensor.zeros(shape, { device });
      const error = refusal(() => layer.forward(input));
      expect(error.code).to.equal('ERR_SHAPE');
      expect(error.message).to.include('more than 1 value per channel');
      layer.eval().forward(input).dispose();
    }
  });

  it('the functional form refuses it too, and eval without tracked statistics', () => {
    using input = Tensor.zeros([1, 4], { device });
    expect(refusal(() => batchNormTraining(input)).code).to.equal('ERR_SHAPE');
    using layer = new BatchNorm(4, { trackRunningStats: false, device }).eval();
    expect(refusal(() => layer.forward(input)).code).to.equal('ERR_SHAPE');
  });

  for (const shape of [
    [0, 5],
    [0, 5, 9],
    [3, 5, 0],
    [0, 5, 2, 2],
    [0, 5, 2, 2, 2],
  ]) {
    it(`an empty batch [${shape}]: empty output, zero parameter gradients, statistics and counter untouched`, async () => {
      using layer = layerOf({
        shape,
        x: [],
        weight: [1, 2, 3, 4, 5],
        bias: [1, 1, 1, 1, 1],
        runningMean: [1, 2, 3, 4, 5],
        runningVar: [5, 4, 3, 2, 1],
      });
      using input = Tensor.empty(shape, { device });
      using residual = Tensor.empty(shape, { device });
      for (const training of [true, false]) {
        layer.train(training);
        using output = layer.forward(input, { residual, saveForBackward: true });
        expect(output.shape).to.deep.equal(shape);
        const gradients = layer.backward(input);
        expect(gradients.input.shape).to.deep.equal(shape);
        expect(gradients.residual!.shape).to.deep.equal(shape);
        expect(await read(gradients.weight!)).to.deep.equal([0, 0, 0, 0, 0]);
        expect(await read(gradients.bias!)).to.deep.equal([0, 0, 0, 0, 0]);
      }
      expect(await read(layer.runningMean!)).to.deep.equal([1, 2, 3, 4, 5]);
      expect(await read(layer.runningVar!)).to.deep.equal([5, 4, 3, 2, 1]);
      expect(layer.numBatchesTracked).to.equal(0);
    });
  }
});

describe('7. wrong lengths, ranks and axes are errors that name the argument and both numbers', () => {
  for (const length of [9, 11]) {
    it(`${length} values where the input has 10 channels`, () => {
      using input = Tensor.zeros([2, 10], { device });
      using good = Tensor.zeros([10], { device });
      using bad = Tensor.zeros([length], { device });
      const calls: Record<string, () => unknown> = {
        mean: () => batchNormInference(input, bad, good),
        variance: () => batchNormInference(input, good, bad),
        weight: () => batchNormInference(input, good, good, { weight: bad }),
        bias: () => batchNormInference(input, good, good, { bias: bad }),
        runningMean: () => batchNormTraining(input, { runningMean: bad, runningVar: good }),
        runningVar: () => batchNormTraining(input, { runningMean: good, runningVar: bad }),
        'options.mean': () => batchNormBackward(input, input, { mean: bad, variance: good }),
        'options.variance': () => batchNormBackward(input, input, { mean: good, variance: bad }),
        statistics: () => batchNormBackward(input, input, { statistics: bad }),
      };
      for (const [name, call] of Object.entries(calls)) {
        const error = refusal(call);
        expect(error.code, name).to.equal('ERR_SHAPE');
        expect(error.message)
          .to.include(name)
          .and.to.match(/10/)
          .and.to.match(new RegExp(`${length}`));
      }
    });

    it(`${length} values in a state dict of a layer of 10`, () => {
      using layer = new BatchNorm(10, { device });
      for (const name of ['weight', 'bias', 'running_mean', 'running_var']) {
        const state = { [name]: { dtype: 'float32', shape: [length], data: new Float32Array(length) } };
        const error = refusal(() => layer.loadStateDict(state, { strict: false }));
        expect(error.code, name).to.equal('ERR_SHAPE');
        expect(error.message)
          .to.include(name)
          .and.to.match(/10/)
          .and.to.match(new RegExp(`${length}`));
      }
    });

    it(`${length} channels for a layer of 10`, () => {
      using layer = new BatchNorm(10, { device });
      using input = Tensor.zeros([2, length], { device });
      const error = refusal(() => layer.forward(input));
      expect(error.code).to.equal('ERR_SHAPE');
      expect(error.message)
        .to.match(/10/)
        .and.to.match(new RegExp(`${length}`));
    });
  }

  it('rank 1 and rank 0', () => {
    using layer = new BatchNorm(3, { device });
    for (const shape of [[], [3]]) {
      using input = Tensor.zeros(shape, { device });
      expect(refusal(() => layer.forward(input)).code).to.equal('ERR_SHAPE');
    }
  });

  for (const axis of [3, 7, -4]) {
    it(`axis ${axis} of rank 3`, () => {
      using layer = new BatchNorm(3, { axis, device });
      using input = Tensor.zeros([3, 3, 3], { device });
      const error = refusal(() => layer.forward(input));
      expect(error.code).to.equal('ERR_SHAPE');
      expect(error.message).to.include('axis').and.to.include(`${axis}`);
    });
  }
});

describe('8. γ alone, β alone, both, neither', () => {
  const x = floats(60, 6, 3, 2);
  for (const [name, layer] of [
    ['neither', {}],
    ['weight', { weight: [1.5, -0.5, 0.25] }],
    ['bias', { bias: [0.1, 0.2, -0.3] }],
    ['both', { weight: [1.5, -0.5, 0.25], bias: [0.1, 0.2, -0.3] }],
  ] as [string, Layer][]) {
    for (const training of [true, false]) {
      it(`${name}, ${training ? 'training' : 'eval'}`, async () => {
        const dy = floats(60, 7);
        const rounded: Pick<Setup, 'weight' | 'bias'> = {
          weight: layer.weight ? roundAll(layer.weight, 'float32') : null,
          bias: layer.bias ? roundAll(layer.bias, 'float32') : null,
        };
        const setup: Setup = { shape: [5, 3, 4], x, ...rounded, runningMean: [1, 2, 3], runningVar: [1, 2, 3], training, dy };
        const step = await runStep(setup);
        const pass = passOf(setup);
        expectWithin(step.output, forwardBound(pass), 'float32', 'output');
        const bounds = backwardBound(dy, pass, !training);
        expectWithin(step.gradients!.input, bounds.input, 'float32', 'gradient of input');
        expect(step.gradients!.weight === null).to.equal(!layer.weight);
        expect(step.gradients!.bias === null).to.equal(!layer.bias);
      });
    }
  }

  it('neither equals γ = 1, β = 0 bit for bit', async () => {
    const without = await runStep({ shape: [5, 3, 4], x });
    const withOnes = await runStep({ shape: [5, 3, 4], x, weight: [1, 1, 1], bias: [0, 0, 0] });
    expectSame(without.output, withOnes.output, 'output');
  });
});

describe('9. backward', () => {
  const x = floats(84, 8, 2, 3);
  const dy = floats(84, 9);
  const weight = roundAll([1.5, -0.5, 0.25], 'float32');
  const setup: Setup = { shape: [4, 3, 7], x, dy, weight, bias: [0, 0, 0], runningMean: [1, 2, 3], runningVar: [1, 2, 3] };

  for (const training of [true, false]) {
    it(`in ${training ? 'training' : 'eval'} is the formula`, async () => {
      const step = await runStep({ ...setup, training });
      const bounds = backwardBound(dy, passOf({ ...setup, training }), !training);
      expectWithin(step.gradients!.input, bounds.input, 'float32', 'gradient of input');
      expectWithin(step.gradients!.weight!, bounds.weight, 'float32', 'gradient of weight');
      expectWithin(step.gradients!.bias!, bounds.bias, 'float32', 'gradient of bias');
    });
  }

  it('Σdx over a channel is about 0', async () => {
    const { gradients } = await runStep(setup);
    const view = viewOf(setup.shape);
    for (let c = 0; c < 3; c++) {
      let sum = 0;
      forEachOfChannel(view, c, (i) => {
        sum += gradients!.input[i]!;
      });
      expect(Math.abs(sum)).to.be.at.most(1e-6);
    }
  });

  it('dy constant gives dx = 0, dγ = 0, dβ = m', async () => {
    const { gradients } = await runStep({ ...setup, dy: new Float64Array(84).fill(1) });
    expectWithin(gradients!.input, within(new Float64Array(84), 1e-6), 'float32', 'dx');
    expectWithin(gradients!.weight!, within([0, 0, 0], 1e-5), 'float32', 'dγ');
    expectSame(gradients!.bias!, [28, 28, 28], 'dβ');
  });

  it('a float64 gradient check passes', async () => {
    // For every activation, axis and option: gradient.test.ts.
    const float64: Setup = { ...setup, dtype: 'float64', parameterDtype: 'float64' };
    const { gradients } = await runStep(float64);
    const loss = async (moved: Values): Promise<number> => {
      const { output } = await runStep({
        shape: setup.shape,
        weight,
        bias: [0, 0, 0],
        dtype: 'float64',
        parameterDtype: 'float64',
        x: moved,
      });
      return Array.from(output).reduce((sum, y, i) => sum + y * dy[i]!, 0);
    };
    for (const i of [0, 8, 30, 83]) {
      const numeric = (await loss(x.map((v, j) => (i === j ? v + 1e-5 : v)))) - (await loss(x.map((v, j) => (i === j ? v - 1e-5 : v))));
      expect(gradients!.input[i]).to.be.closeTo(numeric / 2e-5, 1e-8);
    }
  });
});

describe('10. any channel axis; channels last equals channels first', () => {
  for (let axis = -4; axis < 4; axis++) {
    it(`axis ${axis} of [3, 4, 5, 6]`, async () => {
      const shape = [3, 4, 5, 6];
      const channels = shape.at(axis)!;
      const dy = floats(360, 10);
      const setup: Setup = { shape, axis, x: floats(360, 11), dy, weight: floats(channels, 12), bias: floats(channels, 13) };
      const step = await runStep(setup);
      const pass = passOf(setup);
      expectWithin(step.output, forwardBound(pass), 'float32', 'output');
      expectWithin(step.gradients!.input, backwardBound(dy, pass, false).input, 'float32', 'gradient');
    });
  }

  for (const dtype of DTYPES) {
    for (const [n, c, inner] of [
      [2, 64, 2500],
      [3, 19, 49],
      [4, 1, 81],
      [4, 9, 1],
    ] as const) {
      it(`bit for bit in eval: ${dtype} [${n}, ${c}, ${inner}]`, async () => {
        const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
        const x = roundAll(normals(n * c * inner, 14, 5, 3), dtype);
        const common = {
          dtype,
          parameterDtype,
          weight: floats(c, 15),
          bias: floats(c, 16),
          runningMean: floats(c, 17, 5),
          runningVar: floats(c, 18).map((v) => v * v),
          training: false,
        } as const;
        const first = await runStep({ ...common, shape: [n, c, inner], x });
        const last = await runStep({ ...common, shape: [n, inner, c], axis: -1, x: transposed(x, n, c, inner) });
        expectSame(last.output, transposed(first.output, n, c, inner), 'output');
      });
    }
  }
});

/** [n, a, b] → [n, b, a] */
function transposed(values: Values, n: number, a: number, b: number): Float64Array {
  const moved = new Float64Array(values.length);
  for (let o = 0; o < n; o++) {
    for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) moved[(o * b + j) * a + i] = values[(o * a + i) * b + j]!;
  }
  return moved;
}

describe('11. half types', () => {
  for (const dtype of ['float16', 'bfloat16'] as const) {
    it(`${dtype} stays ${dtype} in the output, with float32 parameters, statistics and parameter gradients`, async () => {
      using layer = new BatchNorm(3, { device });
      using input = Tensor.from(floats(24, 19), [4, 3, 2], { dtype, device });
      using output = layer.forward(input);
      using gradOutput = Tensor.full([4, 3, 2], 1, { dtype, device });
      const gradients = layer.backward(gradOutput);
      expect(output.dtype).to.equal(dtype);
      expect(gradients.input.dtype).to.equal(dtype);
      expect(gradients.weight!.dtype).to.equal('float32');
      expect(layer.weight!.dtype).to.equal('float32');
      expect(layer.runningVar!.dtype).to.equal('float32');
      expect(await layer.runningMean!.read()).to.be.instanceOf(Float32Array);
    });
  }

  for (const axis of [1, -1]) {
    it(`float16 of 4 × 80 × 500 × 500, axis ${axis}, gives no infinity and no NaN, and unit variance`, async function () {
      this.timeout(120_000);
      // Sums over a million values near 60: far beyond 65504.
      const side = affordable(500, 50);
      const shape = axis === 1 ? [4, 80, side, side] : [4, side, side, 80];
      using layer = new BatchNorm(80, { axis, affine: false, device });
      using input = Tensor.empty(shape, { dtype: 'float16', device });
      const pattern = Float32Array.from(normals(Math.min(input.size, 1_000_000), 20, 60, 2));
      for (let start = 0; start < input.size; start += pattern.length) {
        using window = windowOf(input, start, pattern.length);
        window.write(pattern);
      }
      using output = layer.forward(input, { saveForBackward: false });
      for (const mean of await layer.runningMean!.read()) expect(mean).to.be.closeTo(6, 0.01);
      // One infinity or NaN anywhere in the output would make the statistics of its channel NaN.
      const { output: again, statistics } = batchNormTraining(output, { axis });
      again.dispose();
      const [mean, low, variance] = [0, 80, 160].map((start) => statistics.readSync().slice(start, start + 80));
      statistics.dispose();
      for (let c = 0; c < 80; c++) {
        expect(mean![c]! + low![c]!).to.be.closeTo(0, 2e-4); // half a unit in the last place of 0.5 in float16
        expect(variance![c]!).to.be.closeTo(1, 1e-3);
      }
    });
  }

  it('statistics above 65504 survive', async () => {
    const step = await runStep({
      shape: [4, 1],
      dtype: 'float16',
      x: [60000, -60000, 60000, -60000],
      momentum: 1,
      runningVariance: 'biased',
    });
    expectSame(step.runningVar, [3.6e9], 'running variance');
    const evaluated = await runStep({
      shape: [2, 1],
      dtype: 'float16',
      x: [300, -300],
      runningMean: [0],
      runningVar: [90000],
      training: false,
    });
    expectSame(evaluated.output, [1, -1], 'output');
  });
});

describe('12. in-place forward equals separate output', () => {
  for (const dtype of DTYPES) {
    for (const axis of [1, -1]) {
      for (const training of [true, false]) {
        it(`${dtype}, axis ${axis}, ${training ? 'training' : 'eval'}`, async () => {
          const shape = [6, 7, 5, 9];
          const channels = shape.at(axis)!;
          const count = 6 * 7 * 5 * 9;
          const setup: Setup = {
            shape,
            axis,
            dtype,
            parameterDtype: dtype === 'float64' ? 'float64' : 'float32',
            x: roundAll(normals(count, 21), dtype),
            weight: floats(channels, 22),
            residual: roundAll(normals(count, 23), dtype),
            activation: 'relu',
            training,
          };
          expect(await runStep({ ...setup, inPlace: true })).to.deep.equal(await runStep(setup));
        });
      }
    }
  }
});

describe('13. folding into a preceding linear layer reproduces eval output', () => {
  // y = γ(Wx + b − mean)/√(var + eps) + β = (γ/√(var + eps))·W x + (γ(b − mean)/√(var + eps) + β)
  for (const [name, variance, weight] of [
    ['ordinary parameters', 1, 1],
    ['tiny variance', 1e-10, 1],
    ['γ near 0', 1, 1e-6],
  ] as const) {
    it(name, async () => {
      const [rows, inputs, outputs] = [16, 24, 8];
      const data = floats(rows * inputs, 24);
      const matrix = floats(outputs * inputs, 25, 0, 0.2);
      const offset = floats(outputs, 26);
      const gamma = floats(outputs, 27, weight, weight / 10);
      const beta = floats(outputs, 28);
      const mean = floats(outputs, 29);
      const runningVar = floats(outputs, 30).map((v) => variance * v * v);
      const linear = (w: Values, b: Values): Float64Array =>
        Float64Array.from({ length: rows * outputs }, (_, index) => {
          const [row, column] = [Math.floor(index / outputs), index % outputs];
          let sum = b[column]!;
          for (let k = 0; k < inputs; k++) sum += w[column * inputs + k]! * data[row * inputs + k]!;
          return sum;
        });
      const scale = (k: number): number => gamma[k]! / Math.sqrt(roundAll(runningVar, 'float32')[k]! + 1e-5);
      const folded = linear(
        matrix.map((w, index) => w * scale(Math.floor(index / inputs))),
        offset.map((b, k) => scale(k) * (b - mean[k]!) + beta[k]!),
      );
      const step = await runStep({
        shape: [rows, outputs],
        x: linear(matrix, offset),
        weight: gamma,
        bias: beta,
        runningMean: mean,
        runningVar,
        training: false,
      });
      const largest = folded.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      // rtol 1e-4, atol 1e-6; with tiny variance the linear layer's own float32 rounding is amplified to this size.
      expectWithin(step.output, within(folded, 1e-6 + (variance < 1e-5 ? 1e-7 * largest : 0), 1e-4), 'float32', 'output');
    });
  }
});

describe('14. sizes', () => {
  for (const channels of [1, 2, 3, 5, 19, 23, 27, 33, 251, 257, 322, 10000]) {
    for (const inner of [1, 49]) {
      if (channels * inner > 20000) continue;
      it(`${channels} channels, inner ${inner}, in either layout, training and backward`, async () => {
        const count = 4 * channels * inner;
        for (const [shape, axis] of [
          [[4, channels, inner], 1],
          [[4, inner, channels], -1],
        ] as const) {
          const dy = floats(count, 31);
          const setup: Setup = { shape, axis, x: floats(count, 32, 1), dy, weight: floats(channels, 33), bias: floats(channels, 34) };
          const step = await runStep(setup);
          const pass = passOf(setup);
          expectWithin(step.output, forwardBound(pass), 'float32', 'output');
          const bounds = backwardBound(dy, pass, false);
          expectWithin(step.gradients!.input, bounds.input, 'float32', 'gradient of input');
          expectWithin(step.gradients!.weight!, bounds.weight, 'float32', 'gradient of weight');
          expectWithin(step.gradients!.bias!, bounds.bias, 'float32', 'gradient of bias');
        }
      });
    }
  }

  it('10,000 channels of 49 values', async () => {
    const count = 2 * 10000 * 49;
    const setup: Setup = { shape: [2, 10000, 7, 7], x: floats(count, 35) };
    expectWithin((await runStep(setup)).output, forwardBound(passOf(setup)), 'float32', 'output');
  });

  describe('more than 2^31 elements (index arithmetic)', function () {
    this.timeout(300_000);
    const NEEDED = 12 * 2 ** 30;
    const CHANNELS = 256;
    const ROW = CHANNELS * Math.ceil((2 ** 31 + 2 ** 20) / 3 / CHANNELS); // three of them pass 2^31
    const POWERS = [1, 2, -4];

    beforeEach(function () {
      if (emulated) skip(this, 'an emulated device would take minutes');
      const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
      if (availableMemory() < NEEDED)
        skip(this, `${gibibytes(availableMemory())} GiB of memory are free and ${gibibytes(NEEDED)} are asked for`);
    });

    /** Elements at the ends, where rows meet, and around 2^31, against what `valueAt` says. */
    async function expectValues(tensor: Tensor, valueAt: (index: number) => number, what: string): Promise<void> {
      for (const offset of [0, ROW - 40, 2 * ROW - 40, 2 ** 31 - 40, 2 ** 31 + 12345, 3 * ROW - 80]) {
        using window = windowOf(tensor, offset, 80);
        const expected = Array.from({ length: 80 }, (_, i) => valueAt(offset + i));
        expectSame(await window.read(), expected, `${what}: 80 elements from ${offset} on`);
      }
    }

    it('eval and training in place, channels first and last', async () => {
      using first = Tensor.full([1, 3, ROW], 1, { dtype: 'bfloat16', device });
      using last = Tensor.fromPointer(first.pointer, [(3 * ROW) / CHANNELS, CHANNELS], { dtype: 'bfloat16', device: first.device });
      const row = (index: number): number => POWERS[Math.floor(index / ROW)]!;
      const column = (index: number): number => POWERS[(index % CHANNELS) % 3]!;
      // Mean 0, variance 1, eps 0 and powers of two for weights: nothing is rounded.
      for (const [tensor, axis, channels] of [
        [first, 1, 3],
        [last, -1, CHANNELS],
      ] as const) {
        using mean = Tensor.zeros([channels], { device });
        using variance = Tensor.full([channels], 1, { device });
        using weight = Tensor.from(
          Float32Array.from({ length: channels }, (_, c) => POWERS[c % 3]!),
          [channels],
          { device },
        );
        batchNormInference(tensor, mean, variance, { eps: 0, weight, axis, out: tensor });
        if (axis === 1) await expectValues(first, row, 'channels first');
      }
      await expectValues(first, (index) => row(index) * column(index), 'channels last');

      // Each channel of `last` now holds its own power times 1, 2 and −4, as often each: mean −p/3, variance 62p²/9.
      const { output, statistics } = batchNormTraining(last, { axis: -1, eps: 0, out: last, saveForBackward: false });
      const values = await statistics.read();
      statistics.dispose();
      for (let c = 0; c < CHANNELS; c++) {
        expect(values[c]! + values[CHANNELS + c]!).to.be.closeTo(-column(c) / 3, 1e-6);
        expect(values[2 * CHANNELS + c]!).to.be.closeTo((62 * column(c) ** 2) / 9, 1e-4);
      }
      const normalized = (index: number): number =>
        round((Math.sign(column(index)) * (row(index) + 1 / 3)) / Math.sqrt(62 / 9), 'bfloat16');
      await expectValues(output, normalized, 'training');
    });

    it('training in place over one channel: counts and sums past 2^31', async () => {
      const count = 2 ** 31 + 2 ** 20;
      using data = Tensor.full([2, 1, count / 2], 3, { dtype: 'bfloat16', device });
      {
        using second = windowOf(data, count / 2, count / 2);
        using matrix = Tensor.fromPointer(second.pointer, [1, 1, count / 2], { dtype: 'bfloat16', device: data.device });
        using mean = Tensor.zeros([1], { device });
        using variance = Tensor.full([1], 1, { device });
        using bias = Tensor.full([1], 2, { device });
        batchNormInference(matrix, mean, variance, { eps: 0, bias, out: matrix });
      }
      // Half the values are 3, the other half 5.
      const { output, statistics } = batchNormTraining(data, { eps: 0, out: data, saveForBackward: false });
      const [high, low, variance] = await statistics.read();
      statistics.dispose();
      expect(high! + low!).to.be.closeTo(4, 1e-6);
      expect(variance!).to.be.closeTo(1, 1e-5);
      for (const offset of [0, count / 2 - 40, count / 2, 2 ** 31 - 20, count - 40]) {
        using window = windowOf(output, offset, 40);
        expectSame(await window.read(), new Array(40).fill(offset < count / 2 ? -1 : 1), `40 elements from ${offset} on`);
      }
    });
  });

  it('rows far apart: few channels of a long inner dimension, and a long outer one', async () => {
    const inner = affordable(700_001, 70_001);
    for (const [shape, axis] of [
      [[2, 3, inner], 1],
      [[2 * inner, 3], -1],
    ] as const) {
      const count = 6 * inner;
      // A few values stand out; the rest are their channel's number.
      const view = viewOf(shape, axis);
      const x = new Float64Array(count);
      for (let c = 0; c < 3; c++) {
        forEachOfChannel(view, c, (i) => {
          x[i] = c + ((i * 2654435761) % 1024) / 1024;
        });
      }
      const setup: Setup = { shape, axis, x };
      expectWithin((await runStep(setup)).output, forwardBound(passOf(setup)), 'float32', 'output');
    }
  });
});

describe('the gradient that the reference gives', () => {
  it('agrees with the closed formula dx = γ/(m·√(σ²+eps))·(m·dy − dβ − x̂·dγ)', () => {
    const x = floats(12, 40);
    const dy = floats(12, 41);
    const view = viewOf([6, 2]);
    const statistics = batchStatistics(x, view);
    const gradients = backward(dy, x, view, statistics, false, { weight: [2, -1] });
    for (let i = 0; i < 12; i++) {
      const c = i % 2;
      const root = Math.sqrt(statistics.variance[c]! + 1e-5);
      const xhat = (x[i]! - statistics.mean[c]!) / root;
      const closed = ([2, -1][c]! / (6 * root)) * (6 * dy[i]! - gradients.bias[c]! - xhat * gradients.weight[c]!);
      expect(gradients.input[i]).to.be.closeTo(closed, 1e-14);
    }
  });
});
