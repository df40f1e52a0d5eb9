/**
 * What other projects' tests pin down, entry by entry: each names the test here that shows it, or is tested here, or has no
 * counterpart, in words. An entry that appears in the shared files and is not accounted for fails.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { BatchNorm, batchNormInference, batchNormTraining, Tensor } from '../lib/index';
import { roundAll } from '../lib/validation/number_format';
import { batchStatistics, forEachOfChannel, viewOf } from '../lib/validation/oracle';
import { backwardBound, forwardBound, type Pass } from '../lib/validation/tolerance';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { runStep, type Setup } from './helpers/layer';
import { normals } from './helpers/random';
import { withShared } from './helpers/shared';
import { expectSame, expectWithin, within } from './helpers/within';

/** Shown by the test of this file whose title contains these words. */
interface Elsewhere {
  file: string;
  title: string;
}
/** Not applicable, and why. */
interface NoCounterpart {
  because: string;
}
type Account = Elsewhere | NoCounterpart;

const shown = (file: string, title: string): Account => ({ file: `${file}.test.ts`, title });
const none = (because: string): Account => ({ because });

/** The entries in their file's order: a missing or an extra one is a failure, and so is a test that does not exist. */
function accountFor(entries: readonly string[], accounts: Readonly<Record<string, Account>>): void {
  it('has every entry accounted for', () => {
    expect(Object.keys(accounts)).to.deep.equal([...entries]);
    for (const [entry, account] of Object.entries(accounts)) {
      if ('because' in account) console.log(`      no counterpart of ${entry}: ${account.because}`);
    }
  });
  for (const [entry, account] of Object.entries(accounts)) {
    if ('because' in account) continue;
    it(`${entry} is in ${account.file}`, () => {
      // What is only named in an account is not there yet.
      const source = readFileSync(join(__dirname, account.file), 'utf8').replaceAll(/shown\([^)]*\)/g, '');
      expect(source).to.include(account.title);
    });
  }
}

const floats = (count: number, seed: number, mean = 0, deviation = 1): Float64Array =>
  roundAll(normals(count, seed, mean, deviation), 'float32');
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function passOf(setup: Setup): Pass {
  const { axis = 1, dtype = 'float32', parameterDtype = 'float32', training = true } = setup;
  const view = viewOf(setup.shape, axis);
  const statistics = training
    ? batchStatistics(setup.x, view)
    : { mean: setup.runningMean ?? new Float64Array(view.channels), variance: setup.runningVar ?? new Float64Array(view.channels).fill(1) };
  return { x: setup.x, view, statistics, layer: setup, dtype, parameterDtype };
}

/** Forward and backward of a setup against the reference. */
async function expectRight(setup: Setup & { dy: ArrayLike<number> }): Promise<void> {
  const { dtype = 'float32', parameterDtype = 'float32', training = true } = setup;
  const step = await runStep(setup);
  const pass = passOf(setup);
  expectWithin(step.output, forwardBound(pass), dtype, 'output');
  const bounds = backwardBound(setup.dy, pass, !training);
  expectWithin(step.gradients!.input, bounds.input, dtype, 'gradient of input');
  if (setup.weight) expectWithin(step.gradients!.weight!, bounds.weight, parameterDtype, 'gradient of weight');
  if (setup.bias) expectWithin(step.gradients!.bias!, bounds.bias, parameterDtype, 'gradient of bias');
}

/** Every channel of the output has mean 0 and deviation 1. */
function expectStandardized(output: ArrayLike<number>, shape: readonly number[], axis: number, tolerance: number): void {
  const { mean, variance } = batchStatistics(output, viewOf(shape, axis));
  expectWithin(mean, within(new Float64Array(mean.length), tolerance), 'float64', 'mean of the output');
  expectWithin(variance, within(new Float64Array(mean.length).fill(1), tolerance), 'float64', 'variance of the output');
}

interface ModuleEntry {
  module: string;
  constructor_args_num_features_eps_momentum_affine_track: [number, number?, (number | null)?, boolean?, boolean?];
  input_size: number[];
  desc: string;
}

interface SampleEntry {
  input_shape: number[];
  kwargs: { training?: boolean; momentum?: number; eps?: number; note?: string };
}

describe('PyTorch checklist', () => {
  withShared<{
    tests: { test: string; pins: string }[];
    module_grid: { entries: ModuleEntry[] };
    opinfo_samples: { entries: SampleEntry[] };
    deterministic_gradcheck_input: unknown;
  }>('vectors/pytorch_checklist.json', ({ tests, module_grid, opinfo_samples }) => {
    accountFor(
      tests.map(({ test }) => test),
      {
        test_batchnorm_raises_error_if_less_than_one_value_per_channel: shown(
          'conventions',
          'one value per channel in training is an error',
        ),
        test_batchnorm_raises_error_if_running_mean_is_not_same_size_as_input: shown(
          'conventions',
          'values where the input has 10 channels',
        ),
        test_batchnorm_raises_error_if_running_var_is_not_same_size_as_input: shown(
          'conventions',
          'values where the input has 10 channels',
        ),
        test_batchnorm_raises_error_if_weight_is_not_same_size_as_input: shown('conventions', 'values where the input has 10 channels'),
        test_batchnorm_raises_error_if_bias_is_not_same_size_as_input: shown('conventions', 'values where the input has 10 channels'),
        '(ATen, Normalization.cpp)': shown('checklists', 'inference without a mean or a variance is refused by name'),
        test_batchnorm_raises_error_if_running_var_or_running_mean_have_forward_grad: none(
          'there is no forward-mode derivative; a negative momentum in eval is accepted, see the OpInfo samples',
        ),
        test_batchnorm_buffer_update_when_stats_are_not_tracked: none(
          'tracking is fixed when the layer is made; the functional form leaves statistics alone unless they are given',
        ),
        '_test_batchnorm_update_stats / test_batchnorm_update_stats': shown(
          'checklists',
          'a training pass changes both statistics and counts 1',
        ),
        test_batch_norm_update_stats: none(
          'statistics alone are not an operation here; training on an empty batch is defined and leaves them',
        ),
        '_test_batchnorm_simple_average / test_batchnorm_simple_average': shown('conventions', 'two batches give (s1 + s2)/2'),
        test_batchnorm_simple_average_mixed: shown('checklists', 'the cumulative average with half input and float32 statistics'),
        '_test_batchnorm_eval / test_batchnorm_eval (2-d and 3-d input)': shown(
          'conventions',
          'without tracked statistics equals training',
        ),
        test_batchnorm_eval_mixed: shown('checklists', 'eval repeats with half input'),
        '_test_batchnorm_affine / test_batchnorm_affine': shown('conventions', 'neither equals γ = 1, β = 0 bit for bit'),
        '_test_batchnorm_grad / test_batchnorm_grad': shown('gradient', "PyTorch's gradcheck input"),
        test_batchnorm_nhwc_cpu: shown('checklists', 'channels last on the sizes of PyTorch'),
        test_batchnorm_half_overflow: shown('conventions', 'gives no infinity and no NaN'),
        test_batchnorm_non_contig_cpu: none('tensors are dense; another order of dimensions is another axis, see conventions.test.ts, 10'),
        test_batchnorm_cudnn_nhwc: none('tensors are dense: a gradient has its input’s layout'),
        'test_batchnorm_cudnn_half, test_batchnorm_nonaffine_cuda_half_input': shown(
          'conventions',
          'in the output, with float32 parameters',
        ),
        'test_batchnorm (parametrised: 2D/3D, train/inference, NCHW, vs cpu/native, mixed f16/bf16)': shown(
          'checklists',
          'small integers as data',
        ),
        test_batchnorm_nhwc_cuda: shown('conventions', 'bit for bit in eval'),
        test_batchnorm_load_state_dict: shown('checklists', 'a state without the counter'),
        '_load_from_state_dict (version < 2)': shown('checklists', 'a state without the counter'),
        'torch.nn._check_input_dim': none('one layer takes every rank from 2 on; ranks 0 and 1 are refused, see conventions.test.ts, 7'),
        'ModulesTest.BatchNorm{1,2,3}dStateful / Stateless (C++)': shown(
          'checklists',
          'defaults: four vectors and a counter; without both options nothing',
        ),
      },
    );

    for (const { module, desc, input_size: shape, constructor_args_num_features_eps_momentum_affine_track: args } of module_grid.entries) {
      it(`module grid: ${module} ${desc} [${shape}], training and eval`, async () => {
        const [features, eps = 1e-5, momentum = 0.1, affine = true, tracking = true] = args;
        const x = floats(product(shape), 1, 1, 2);
        const dy = floats(product(shape), 2);
        using layer = new BatchNorm(features, { eps, momentum, affine, trackRunningStats: tracking, device });
        for (const training of [true, false]) {
          layer.train(training);
          const given = tracking && !training;
          const statistics = given ? { runningMean: await layer.runningMean!.read(), runningVar: await layer.runningVar!.read() } : {};
          using input = Tensor.from(x, shape, { dtype: 'float32', device });
          using gradOutput = Tensor.from(dy, shape, { dtype: 'float32', device });
          using output = layer.forward(input, { saveForBackward: true });
          const gradients = layer.backward(gradOutput);
          expect(gradients.weight === null).to.equal(!affine);
          if (x.length === 0) {
            expect(output.shape).to.deep.equal(shape);
            expect(gradients.input.shape).to.deep.equal(shape);
            continue;
          }
          const pass = passOf({ shape, x, eps, training: !given, ...statistics });
          expectWithin(await output.read(), forwardBound(pass), 'float32', 'output');
          const bounds = backwardBound(dy, pass, given);
          expectWithin(await gradients.input.read(), bounds.input, 'float32', 'gradient of input');
          if (affine) expectWithin(await gradients.weight!.read(), bounds.weight, 'float32', 'gradient of weight');
          if (affine) expectWithin(await gradients.bias!.read(), bounds.bias, 'float32', 'gradient of bias');
        }
      });
    }

    for (const { input_shape: shape, kwargs } of opinfo_samples.entries) {
      const { training = false, momentum = 0.1, eps = 1e-5 } = kwargs; // torch.nn.functional.batch_norm's defaults
      const name = `OpInfo sample [${shape}] ${JSON.stringify(kwargs)}`;
      if (shape.length < 2) {
        it(`${name}: refused, a tensor of rank 1 has no channel dimension apart from its values`, () => {
          using input = Tensor.empty(shape, { device });
          expectError(() => batchNormTraining(input), 'ERR_SHAPE', 'rank');
        });
        continue;
      }
      it(name, async () => {
        const channels = shape[1]!;
        const x = floats(product(shape), 3);
        const affine = kwargs.note ? {} : { weight: floats(channels, 4), bias: floats(channels, 5) };
        const positive = floats(channels, 6).map(Math.abs);
        const setup = {
          shape,
          x,
          training,
          momentum,
          eps,
          dy: floats(product(shape), 7),
          runningMean: positive,
          runningVar: positive,
          ...affine,
        };
        await expectRight(setup);
      });
    }
  });

  it('inference without a mean or a variance is refused by name', () => {
    using input = Tensor.zeros([2, 3], { device });
    using vector = Tensor.zeros([3], { device });
    const missing = null as unknown as Tensor;
    expectError(() => batchNormInference(input, missing, vector), 'ERR_INVALID_ARGUMENT', 'mean');
    expectError(() => batchNormInference(input, vector, missing), 'ERR_INVALID_ARGUMENT', 'variance');
  });

  it('a training pass changes both statistics and counts 1, an eval pass changes nothing', async () => {
    using layer = new BatchNorm(3, { device });
    using input = Tensor.from(floats(12, 8, 1), [4, 3], { dtype: 'float32', device });
    const state = async () => [...(await layer.runningMean!.read()), ...(await layer.runningVar!.read()), layer.numBatchesTracked];
    const before = await state();
    layer.forward(input).dispose();
    const after = await state();
    before.slice(0, 6).forEach((value, i) => {
      expect(after[i]).not.to.equal(value);
    });
    expect(after[6]).to.equal(1);
    layer.eval().forward(input).dispose();
    expect(await state()).to.deep.equal(after);
  });

  for (const dtype of ['float16', 'bfloat16'] as const) {
    it(`the cumulative average with half input and float32 statistics: ${dtype}`, async () => {
      using layer = new BatchNorm(3, { momentum: null, device });
      const alone: { mean: Float32Array; variance: Float32Array }[] = [];
      for (const seed of [9, 10]) {
        const x = roundAll(normals(24, seed, 2), dtype);
        const step = await runStep({ shape: [8, 3], x, dtype, momentum: 1 });
        alone.push({ mean: Float32Array.from(step.runningMean), variance: Float32Array.from(step.runningVar) });
        using input = Tensor.from(x, [8, 3], { dtype, device });
        layer.forward(input).dispose();
      }
      const average = (name: 'mean' | 'variance') =>
        within(
          Float64Array.from(alone[0]![name], (v, c) => (v + alone[1]![name][c]!) / 2),
          0,
          2e-7,
        );
      expectWithin(await layer.runningMean!.read(), average('mean'), 'float32', 'running mean');
      expectWithin(await layer.runningVar!.read(), average('variance'), 'float32', 'running variance');
      layer.resetRunningStats();
      expect([...(await layer.runningMean!.read()), ...(await layer.runningVar!.read()), layer.numBatchesTracked]).to.deep.equal([
        0, 0, 0, 1, 1, 1, 0,
      ]);
    });

    it(`eval repeats with half input, output and gradient: ${dtype}`, async () => {
      const x = roundAll(normals(24, 11), dtype);
      const setup: Setup = { shape: [8, 3], x, dtype, dy: x, runningMean: [0, 1, 2], runningVar: [1, 2, 3], training: false };
      expect(await runStep(setup)).to.deep.equal(await runStep(setup));
    });
  }

  for (const shape of [
    [4, 8, 10, 10],
    [4, 1, 9, 9],
    [4, 9, 1, 1],
    [4, 8, 2, 10, 10],
    [4, 1, 2, 9, 9],
    [4, 9, 1, 1, 1],
  ]) {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
      it(`channels last on the sizes of PyTorch, [${shape}] ${dtype}, output and gradients`, () => {
        const [n, c, ...space] = shape as [number, number, ...number[]];
        const count = product(shape);
        const common = {
          x: roundAll(normals(count, 12), dtype),
          dy: roundAll(normals(count, 13), dtype),
          dtype,
          weight: floats(c, 14),
          bias: floats(c, 15),
        };
        return expectRight({ ...common, shape: [n, ...space, c], axis: -1 }).then(() => expectRight({ ...common, shape, axis: 1 }));
      });
    }
  }

  for (const [shape, training] of [
    [[4, 8, 2, 2], true],
    [[4, 8, 2, 2, 2], true],
    [[2, 64, 50, 50], false],
  ] as const) {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
      it(`small integers as data, [${shape}] ${dtype} ${training ? 'training' : 'inference'}`, () => {
        const digits = (seed: number): Float64Array =>
          Float64Array.from({ length: product(shape) }, (_, i) => 1 + (((i + seed) * 2654435761) % 9));
        const integers = (length: number, from: number): Float64Array => Float64Array.from({ length }, (_, i) => 1 + ((i + from) % 9));
        return expectRight({
          shape,
          x: digits(0),
          dy: digits(5),
          dtype,
          training,
          weight: integers(shape[1], 1),
          bias: integers(shape[1], 2),
          runningMean: integers(shape[1], 3),
          runningVar: integers(shape[1], 4),
        });
      });
    }
  }

  it('a state without the counter: it counts as 0 where statistics come along, and stays where none do', async () => {
    using layer = new BatchNorm(2, { device });
    using input = Tensor.from([1, 2, 3, 5], [2, 2], { device });
    layer.forward(input).dispose();
    const { num_batches_tracked: _, ...state } = await layer.stateDict();
    using other = new BatchNorm(2, { device });
    other.forward(input).dispose();
    other.loadStateDict({ weight: state.weight!, bias: state.bias! }, { strict: false });
    expect(other.numBatchesTracked).to.equal(1);
    other.loadStateDict(state);
    expect(other.numBatchesTracked).to.equal(0);
    expectSame(await other.runningVar!.read(), await layer.runningVar!.read(), 'running variance');
  });

  it('defaults: four vectors and a counter; without both options nothing', async () => {
    using full = new BatchNorm(5, { device });
    const state = await full.stateDict();
    expect(Object.keys(state).sort()).to.deep.equal(['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight']);
    for (const [name, { shape }] of Object.entries(state)) expect(shape, name).to.deep.equal(name === 'num_batches_tracked' ? [] : [5]);
    using bare = new BatchNorm(5, { affine: false, trackRunningStats: false, device });
    expect(await bare.stateDict()).to.deep.equal({});
    expect([bare.weight, bare.bias, bare.runningMean, bare.runningVar]).to.deep.equal([null, null, null, null]);
  });
});

interface Literal {
  name: string;
  x: number[][];
  mean: number[];
  variance: number[];
  offset?: number[];
  scale?: number[];
  axis: number;
  epsilon: number;
  expected: number[][];
}

type Listed = { tests: [string, string][] };

describe('checklists of other frameworks', () => {
  withShared<{
    keras: Listed & { literals: Literal[] };
    flax: Listed;
    caffe: Listed;
    chainer: Listed;
    mlx: Listed;
    stablehlo: Listed;
    tfjs: Listed;
    onnx: { rules: string[] };
    onednn: { thresholds: Record<string, string> };
  }>('vectors/other_frameworks_checklist.json', (frameworks) => {
    const entries = Object.entries(frameworks).flatMap(([framework, content]) =>
      'tests' in content ? content.tests.map(([test]) => `${framework} ${test}`) : [],
    );
    accountFor(entries, {
      'keras test_bn_basics': shown('checklists', 'Keras test_bn_basics'),
      'keras test_correctness': shown('checklists', 'Keras test_correctness'),
      'keras test_input_fully_masked': none('there are no masks; constant input of zeros gives zeros, conventions.test.ts, 1'),
      'keras test_bachnorm_ignore_masked_values': shown('checklists', 'Keras ignored masked values'),
      'keras test_trainable_behavior': shown('checklists', 'Keras test_trainable_behavior'),
      'keras test_large_value_within_autocast_scope': shown('checklists', 'Keras test_large_value_within_autocast_scope'),
      'keras test_masked_broadcast_normalization': shown('checklists', 'Keras test_masked_broadcast_normalization'),
      'keras test_renorm_*': shown('renorm', 'is plain batch norm with γ·r and β + γ·d, forward and backward'),
      'keras nn_test.test_moments': shown('checklists', 'Keras nn_test.test_moments'),
      'flax test_batch_norm': shown('checklists', 'Flax test_batch_norm'),
      'flax use_fast_variance=False variants (layer/instance norm, same code path)': shown('checklists', 'Flax use_fast_variance=False'),
      'caffe TestForward': shown('checklists', "'TestForward'"),
      'caffe TestForwardInplace': shown('checklists', "'TestForwardInplace'"),
      'caffe TestGradient': shown('gradient', 'float64 gradients by central differences'),
      'chainer TestBatchNormalization': shown('checklists', "'TestBatchNormalization'"),
      'chainer TestFixedBatchNormalization': shown('checklists', "'TestFixedBatchNormalization'"),
      'mlx test_batch_norm': none('every rank from 2 on is taken; running statistics have no gradients to be trained by'),
      'stablehlo batch_norm_*_c1': shown('conventions', 'of rank 3'),
      'stablehlo batch_norm_*_c3_c4(_c5_c6)': shown('conventions', 'values where the input has 10 channels'),
      'tfjs throws when passed x/mean/variance/scale/offset as a non-tensor; string data': shown(
        'checklists',
        'an argument that is not a tensor is refused by name',
      ),
      'tfjs axis 0 with undetermined size': none('shapes are always known here; the TensorFlow.js layer has its own tests'),
      'tfjs no center / no scale / neither': shown('checklists', 'weights without the missing ones'),
    });

    for (const test of frameworks.keras.literals) {
      it(`Keras ${test.name}`, async () => {
        const step = await runStep({
          shape: [2, 3],
          x: test.x.flat(),
          axis: test.axis,
          eps: test.epsilon,
          weight: test.scale ?? null,
          bias: test.offset ?? null,
          runningMean: test.mean,
          runningVar: test.variance,
          training: false,
        });
        expectWithin(step.output, within(test.expected.flat(), 1e-7, 2e-7), 'float32', 'output');
      });
    }

    const accountedRules: string[] = [];
    const rule = (words: string, define: () => void): void => {
      accountedRules.push(...frameworks.onnx.rules.filter((text) => text.includes(words)));
      define();
    };
    rule('1-D input of size N', () =>
      it('ONNX: a 1-D input is refused; reshaped to [N, 1] it is taken as C = 1', async () => {
        using flat = Tensor.zeros([4], { device });
        expectError(() => batchNormTraining(flat), 'ERR_SHAPE', 'rank 2');
        expectSame((await runStep({ shape: [2, 1], x: [1, 3], eps: 0 })).output, [-1, 1], 'output');
      }),
    );
    rule('training outputs Y, running_mean, running_var', () =>
      it('ONNX: eval gives the output and touches no statistics (conventions.test.ts, 5)', async () => {
        const step = await runStep({ shape: [2, 1], x: [1, 3], runningMean: [7], runningVar: [8], training: false });
        expectSame([...step.runningMean, ...step.runningVar], [7, 8], 'statistics');
      }),
    );
    rule('computed in float for float16', () =>
      it('ONNX: mean and variance are computed in float32 for float16 inputs', async () => {
        const step = await runStep({ shape: [3, 1], dtype: 'float16', x: [2048, 2050, 2049 - 1], momentum: 1, runningVariance: 'biased' });
        expectWithin(step.runningMean, within([6146 / 3], 0, 1e-7), 'float32', 'mean'); // float16 would round it to 2048
        expectWithin(step.runningVar, within([8 / 9], 0, 1e-6), 'float32', 'variance');
      }),
    );
    rule('may differ (T, T1, T2)', () =>
      it('ONNX: the input’s type may differ from that of the parameters, which share theirs with the statistics', () => {
        using input = Tensor.zeros([2, 2], { dtype: 'bfloat16', device });
        using float32 = Tensor.zeros([2], { device });
        using float64 = Tensor.zeros([2], { dtype: 'float64', device });
        batchNormInference(input, float32, float32, { weight: float32 }).dispose();
        expectError(() => batchNormInference(input, float32, float32, { weight: float64 }), 'ERR_DTYPE', 'weight');
      }),
    );
    it('ONNX: every rule is accounted for', () => expect(accountedRules).to.deep.equal(frameworks.onnx.rules));

    it('oneDNN: its four thresholds are the ones these tests know', () =>
      expect(Object.keys(frameworks.onednn.thresholds)).to.deep.equal(['forward_dst', 'relaxed', 'backward', 'cancellation']));
  });

  for (const [options, trainable] of [
    [{}, ['weight', 'bias']],
    [{ affine: false }, []],
  ] as const) {
    it(`Keras test_bn_basics: ${trainable.length} trainable and 2 other vectors`, async () => {
      using layer = new BatchNorm(3, { ...options, device });
      const names = Object.keys(await layer.stateDict()).filter((name) => name !== 'num_batches_tracked');
      expect(names).to.deep.equal([...trainable, 'running_mean', 'running_var']);
    });
  }

  for (const [shape, axis] of [
    [[5, 2, 3], -1],
    [[5, 2, 3], 1],
    [[5, 3, 3, 2], -1],
    [[5, 3, 3, 2], 1],
  ] as const) {
    it(`Keras test_correctness: [${shape}] axis ${axis}: three chained training passes, then eval`, async () => {
      const channels = shape.at(axis)!;
      // Keras's momentum 0 weighs the old value: ours is 1. Its moving variance is biased.
      using layer = new BatchNorm(channels, { axis, momentum: 1, runningVariance: 'biased', eps: 1e-3, device });
      using input = Tensor.from(floats(product(shape), 16, 5, 10), shape, { dtype: 'float32', device });
      using before = layer.eval().forward(input);
      layer.train();
      using first = layer.forward(input);
      using second = layer.forward(first);
      using third = layer.forward(second);
      expectStandardized(await third.read(), shape, axis, 2e-3);
      expectWithin(await layer.runningMean!.read(), within(new Float64Array(channels), 1e-3), 'float32', 'moving mean');
      expectWithin(await layer.runningVar!.read(), within(new Float64Array(channels).fill(1), 1e-3), 'float32', 'moving variance');
      using after = layer.eval().forward(second);
      expectWithin(await after.read(), within(await third.read(), 1e-6), 'float32', 'eval after training');
      expect([...(await before.read())]).not.to.deep.equal([...(await third.read())]);
    });
  }

  it('Keras ignored masked values: the rows that remain give mean [1.5, 5], variance [0.25, 0]', async () => {
    const step = await runStep({ shape: [2, 2], x: [1, 5, 2, 5], momentum: 1, runningVariance: 'biased' });
    expectSame([...step.runningMean, ...step.runningVar], [1.5, 5, 0.25, 0], 'statistics');
  });

  it('Keras test_trainable_behavior: frozen is eval; in training mean 0 and deviation 1', async () => {
    const shape = [200, 4, 4, 3];
    const x = floats(product(shape), 17, 5, 10);
    const frozen = await runStep({ shape, axis: -1, x, eps: 1e-7, training: false });
    expectWithin(frozen.output, within(x, 0, 2e-7), 'float32', 'output');
    expectSame([...frozen.runningMean, ...frozen.runningVar], [0, 0, 0, 1, 1, 1], 'statistics');
    expectStandardized((await runStep({ shape, axis: -1, x, eps: 1e-7 })).output, shape, -1, 1e-3);
  });

  it('Keras test_large_value_within_autocast_scope: a running variance of 70000 with float16 input', async () => {
    const step = await runStep({ shape: [2, 1], dtype: 'float16', x: [0, 0], runningVar: [70000], training: false });
    expectSame(step.runningVar, [70000], 'running variance');
  });

  it('Keras test_masked_broadcast_normalization: ones give 0, moving mean 1, moving variance 0', async () => {
    const step = await runStep({ shape: [1, 2, 3, 4], axis: -1, x: new Float64Array(24).fill(1), eps: 1e-3, momentum: 1 });
    expectSame(step.output, new Float64Array(24), 'output');
    expectSame([...step.runningMean, ...step.runningVar], [1, 1, 1, 1, 0, 0, 0, 0], 'statistics');
  });

  it('Keras nn_test.test_moments: float16 data whose variance overflows float16; ours is kept in float32, not clipped', async () => {
    const x = roundAll([-741, 353.2, 1099, -1807, 502.8, -83.4, 333.5, -130.9], 'float16');
    const step = await runStep({ shape: [8, 1], dtype: 'float16', x, momentum: 1, runningVariance: 'biased' });
    const { mean, variance } = batchStatistics(x, viewOf([8, 1]));
    expect(variance[0]).to.be.greaterThan(65504);
    expectWithin(step.runningMean, within(mean, 1e-4), 'float32', 'mean');
    expectWithin(step.runningVar, within(variance, 0, 1e-6), 'float32', 'variance');
  });

  it('Flax test_batch_norm: momentum 0.9 of the old value, biased variance', async () => {
    const shape = [4, 3, 2];
    const x = floats(24, 18);
    const step = await runStep({ shape, axis: -1, x, momentum: 0.1, runningVariance: 'biased' });
    expectStandardized(step.output, shape, -1, 1e-4);
    const { mean, variance } = batchStatistics(x, viewOf(shape, -1));
    expectWithin(
      step.runningMean,
      within(
        Float64Array.from(mean, (m) => 0.1 * m),
        1e-7,
      ),
      'float32',
      'running mean',
    );
    expectWithin(
      step.runningVar,
      within(
        Float64Array.from(variance, (v) => 0.9 + 0.1 * v),
        2e-7,
      ),
      'float32',
      'running variance',
    );
  });

  for (const offset of [1e4, 1e6]) {
    it(`Flax use_fast_variance=False: data shifted by ${offset} is standardized as before`, async () => {
      const x = floats(4000, 19).map((v) => Math.round(v * 8) / 8);
      const shifted = await runStep({ shape: [2000, 2], x: x.map((v) => v + offset) });
      expectWithin(shifted.output, forwardBound(passOf({ shape: [2000, 2], x })), 'float32', 'output');
    });
  }

  for (const inPlace of [false, true]) {
    it(`Caffe ${inPlace ? 'TestForwardInplace' : 'TestForward'}: [5, 2, 3, 4] has mean 0 and variance 1`, async () => {
      const shape = [5, 2, 3, 4];
      expectStandardized((await runStep({ shape, x: floats(120, 20), inPlace })).output, shape, 1, 1e-3);
    });
  }

  // Chainer's parameters may have several dimensions: (5,) + param_shape + (2,) * ndim. Folded into one channel dimension it is ours.
  for (const parameterShape of [[3], [3, 4], [3, 2, 3]]) {
    for (const ndim of [0, 1, 2]) {
      for (const training of [true, false]) {
        it(`Chainer ${training ? 'TestBatchNormalization' : 'TestFixedBatchNormalization'}: parameters [${parameterShape}], ndim ${ndim}`, async () => {
          const channels = product(parameterShape);
          const shape = [5, channels, ...new Array<number>(ndim).fill(2)];
          for (const eps of [2e-5, 0.5]) {
            for (const dtype of ['float16', 'float32', 'float64'] as const) {
              const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
              await expectRight({
                shape,
                eps,
                dtype,
                parameterDtype,
                training,
                x: roundAll(normals(product(shape), 21), dtype),
                dy: roundAll(normals(product(shape), 22), dtype),
                weight: floats(channels, 23),
                bias: floats(channels, 24),
                runningMean: floats(channels, 25),
                runningVar: floats(channels, 26).map((v) => 0.5 + Math.abs(v)),
              });
            }
          }
        });
      }
    }
  }

  it('an argument that is not a tensor is refused by name', () => {
    using input = Tensor.zeros([2, 2], { device });
    using vector = Tensor.zeros([2], { device });
    for (const bad of ['text', 3, [1, 2], {}, new Float32Array(2)] as unknown as Tensor[]) {
      expectError(() => batchNormInference(bad, vector, vector), 'ERR_INVALID_ARGUMENT', 'input');
      expectError(() => batchNormInference(input, bad, vector), 'ERR_INVALID_ARGUMENT', 'mean');
      expectError(() => batchNormInference(input, vector, bad), 'ERR_INVALID_ARGUMENT', 'variance');
      expectError(() => batchNormInference(input, vector, vector, { weight: bad }), 'ERR_INVALID_ARGUMENT', 'weight');
      expectError(() => batchNormInference(input, vector, vector, { bias: bad }), 'ERR_INVALID_ARGUMENT', 'bias');
    }
  });

  for (const [affine, names] of [
    ['weight', ['weight', 'running_mean', 'running_var']],
    ['bias', ['bias', 'running_mean', 'running_var']],
    [false, ['running_mean', 'running_var']],
  ] as const) {
    it(`affine ${affine}: ${names.length} weights without the missing ones, in PyTorch's order, and the counter`, async () => {
      using layer = new BatchNorm(4, { affine, device });
      expect(Object.keys(await layer.stateDict())).to.deep.equal([...names, 'num_batches_tracked']);
    });
  }

  // oneDNN fills its tests so that statistics are exact in float32: values in pairs around means that are powers of two.
  for (const axis of [1, -1]) {
    it(`oneDNN: exact statistics are found exactly, axis ${axis}`, async () => {
      const shape = axis === 1 ? [4, 16, 10] : [4, 10, 16];
      const view = viewOf(shape, axis);
      const x = new Float64Array(640);
      const mean = Float64Array.from({ length: 16 }, (_, c) => 0.25 * 2 ** (c % 7));
      for (let c = 0; c < 16; c++) {
        let k = 0;
        forEachOfChannel(view, c, (i) => {
          const pair = k >> 1;
          x[i] = mean[c]! + (k++ % 2 === 0 ? 1 : -1) * mean[c]! * ((pair % 4) + 1) * 0.125;
        });
      }
      const step = await runStep({ shape, axis, x, momentum: 1, runningVariance: 'biased' });
      const exact = batchStatistics(x, view);
      expectSame(step.runningMean, mean, 'mean');
      expectSame(step.runningVar, roundAll(exact.variance, 'float32'), 'variance');
      expectWithin(step.output, forwardBound(passOf({ shape, axis, x })), 'float32', 'output');
    });
  }
});
