/** Layers that cuDNN computes. */

import { expect } from 'chai';
import {
  type BackendName,
  BatchNorm,
  type BatchNormOptions,
  batchNormBackward,
  batchNormTraining,
  type DType,
  Tensor,
} from '../../lib/index';
import { smallestNormal, unitRoundoff } from '../../lib/validation/number_format';
import { backward, batchStatistics, forward, storedVariance, updateRunning, viewOf } from '../../lib/validation/oracle';
import { describeCudnn } from '../helpers/cudnn';
import { device, emulated } from '../helpers/device';
import { emulator } from '../helpers/emulator';
import { expectError } from '../helpers/failure';
import { runStep, type Setup } from '../helpers/layer';
import { normals } from '../helpers/random';
import { skip } from '../helpers/shared';

const CHANNELS = 8;
const WEIGHT = Float64Array.from(normals(CHANNELS, 1, 1, 0.25), Math.fround);
const BIAS = Float64Array.from(normals(CHANNELS, 2), Math.fround);

interface Case {
  name: string;
  shape: number[];
  axis: number;
  backend: BackendName;
}

const PLANES = { shape: [6, CHANNELS, 5, 3], axis: 1 };
const LAST = { shape: [6, 5, 3, CHANNELS], axis: -1 };
const FLAT = { shape: [40, CHANNELS], axis: 1 };
const CASES: Case[] = [
  { name: 'channels first', ...PLANES, backend: 'cudnn' },
  { name: 'channels first, spatial', ...PLANES, backend: 'cudnn:spatial' },
  { name: 'channels first, persistent', ...PLANES, backend: 'cudnn:spatial-persistent' },
  { name: 'channels last', ...LAST, backend: 'cudnn' },
  { name: 'channels last, spatial', ...LAST, backend: 'cudnn:spatial' },
  { name: 'flat, per activation', ...FLAT, backend: 'cudnn:per-activation' },
];

/** cuDNN's own arithmetic is float32, or float64 for float64, as ordinary data need it; nothing is promised of it. */
const allowance = (dtype: DType) => 64 * Math.max(unitRoundoff(dtype), unitRoundoff(dtype === 'float64' ? 'float64' : 'float32'));

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, allowed: number, name: string): void {
  expect(actual.length, name).to.equal(expected.length);
  const scale = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), smallestNormal('float32'));
  for (let i = 0; i < expected.length; i++) {
    if (Math.abs(actual[i]! - expected[i]!) <= allowed * scale) continue;
    expect.fail(`${name}[${i}] is ${actual[i]} and not within ${allowed * scale} of ${expected[i]}`);
  }
}

/** Runs a step of training and holds all of it against the oracle; `setup` has values that its dtypes can represent. */
async function expectTraining(setup: Setup & { dy: ArrayLike<number> }): Promise<void> {
  const { x, dy, dtype = 'float32', axis } = setup;
  const view = viewOf(setup.shape, axis);
  const statistics = batchStatistics(x, view);
  const layer = { weight: setup.weight, bias: setup.bias, residual: setup.residual, activation: setup.activation };
  const zeros = new Float64Array(view.channels);
  const step = await runStep(setup);
  const gradients = backward(dy, x, view, statistics, false, layer);
  const allowed = allowance(dtype);
  const narrow = allowance(dtype === 'float64' ? 'float64' : 'float32');
  expectClose(step.output, forward(x, view, statistics, layer), allowed, 'output');
  expectClose(step.runningMean, updateRunning(zeros, statistics.mean, 0.1), narrow, 'running mean');
  const ones = zeros.map(() => 1);
  expectClose(step.runningVar, updateRunning(ones, storedVariance(statistics.variance, view, 'unbiased'), 0.1), narrow, 'running variance');
  expectClose(step.gradients!.input, gradients.input, allowed, 'gradient of the input');
  if (setup.weight) expectClose(step.gradients!.weight!, gradients.weight, allowed, 'gradient of the weight');
  else expect(step.gradients!.weight).to.equal(null);
  if (setup.bias) expectClose(step.gradients!.bias!, gradients.bias, allowed, 'gradient of the bias');
  else expect(step.gradients!.bias).to.equal(null);
  if (setup.residual) expectClose(step.gradients!.residual!, gradients.residual, allowed, 'gradient of the residual');
}

/** Multiples of 1/4 within ±4, of which every dtype can represent all. */
const coarse = (count: number, seed: number) => normals(count, seed).map((value) => Math.max(-4, Math.min(4, Math.round(4 * value) / 4)));
const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);

function setupOf({ shape, axis, backend }: Omit<Case, 'name'>, dtype: DType): Setup & { dy: Float64Array } {
  const count = sizeOf(shape);
  const parameterDtype = dtype === 'float64' ? 'float64' : 'float32';
  return { shape, axis, backend, dtype, parameterDtype, x: coarse(count, 3), dy: coarse(count, 4), weight: WEIGHT, bias: BIAS };
}

function layerOf(options: BatchNormOptions = {}): BatchNorm {
  return new BatchNorm(CHANNELS, { device, backend: 'cudnn', ...options });
}

const tensorOf = ({ shape }: { shape: number[] }, seed: number, dtype: DType = 'float32') =>
  Tensor.from(coarse(sizeOf(shape), seed), shape, { device, dtype });

describeCudnn('the cuDNN backend', () => {
  for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const) {
    for (const { name, ...layout } of CASES) {
      if (dtype === 'float64' && layout.backend === 'cudnn:spatial-persistent') continue; // refused: tested below
      it(`trains in ${dtype}, ${name}`, () => expectTraining(setupOf(layout, dtype)));
    }
  }

  for (const residual of [false, true]) {
    for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
      it(`trains with relu${residual ? ' after a residual' : ''} in ${dtype}`, () => {
        const setup = setupOf({ ...LAST, backend: 'cudnn' }, dtype);
        return expectTraining({ ...setup, activation: 'relu', residual: residual ? coarse(setup.x.length, 5) : null });
      });
    }
  }

  it('trains without weight, without bias, without both', async () => {
    for (const without of [{ weight: null }, { bias: null }, { weight: null, bias: null }]) {
      await expectTraining({ ...setupOf({ ...PLANES, backend: 'cudnn' }, 'float32'), ...without });
    }
  });

  it('infers with the running statistics', async () => {
    for (const { shape, axis, backend } of CASES) {
      const setup = setupOf({ shape, axis, backend }, 'float32');
      const mean = normals(CHANNELS, 6).map(Math.fround);
      const variance = normals(CHANNELS, 7).map((value) => Math.fround(Math.abs(value) + 0.5));
      const { output } = await runStep({
        ...setup,
        dy: undefined as never,
        training: false,
        runningMean: mean,
        runningVar: variance,
      });
      expectClose(output, forward(setup.x, viewOf(shape, axis), { mean, variance }, setup), allowance('float32'), backend);
    }
  });

  it('infers from more pixels than cuDNN takes images', async () => {
    const shape = [70_000, CHANNELS];
    using layer = layerOf({ axis: -1 }).eval();
    using input = tensorOf({ shape }, 1);
    using output = layer.forward(input);
    const values = await input.read();
    const scale = 1 / Math.sqrt(1 + 1e-5);
    expectClose(
      await output.read(),
      values.map((value) => value * scale),
      allowance('float32'),
      'output',
    );
  });

  it('agrees with the native backend, running statistics included, step after step', async () => {
    using native = layerOf({ backend: 'native' });
    using cudnn = layerOf();
    using gradient = tensorOf(PLANES, 9);
    for (let step = 0; step < 3; step++) {
      using input = tensorOf(PLANES, step);
      const results = [];
      for (const layer of [native, cudnn]) {
        using output = layer.forward(input);
        const { input: dx, weight, bias } = layer.backward(gradient);
        const owned = [dx, weight!, bias!];
        results.push(await Promise.all([output, ...owned, layer.runningMean!, layer.runningVar!].map((tensor) => tensor.read())));
        for (const tensor of owned) tensor.dispose();
      }
      for (const [i, values] of results[0]!.entries())
        expectClose(results[1]![i]!, values, allowance('float32'), `result ${i} of step ${step}`);
      expect(cudnn.numBatchesTracked).to.equal(step + 1);
    }
  });

  it('divides a batch into ghost batches: what it gives is what it gives for each, and gradients of the parameters add up', () => {
    const [shape, part] = [
      [6, 5, 3, CHANNELS],
      [3, 5, 3, CHANNELS],
    ];
    for (const activation of ['identity', 'relu'] as const) {
      using divided = layerOf({ axis: -1, activation, virtualBatchSize: 3 });
      using plain = layerOf({ axis: -1, activation });
      using input = tensorOf({ shape }, 1);
      using gradOutput = tensorOf({ shape }, 2);
      using output = divided.forward(input);
      const gradients = divided.backward(gradOutput);
      const halves = [0, 1].map((half) => {
        const of = (tensor: Tensor) =>
          Tensor.from(tensor.readSync().slice((half * tensor.size) / 2, ((half + 1) * tensor.size) / 2), part, { device });
        using x = of(input);
        using dy = of(gradOutput);
        using y = plain.forward(x);
        const { input: dx, weight, bias } = plain.backward(dy);
        const values = [y, dx, weight!, bias!].map((tensor) => Array.from(tensor.readSync()));
        for (const tensor of [dx, weight!, bias!]) tensor.dispose();
        return values;
      });
      const joined = (i: number) => halves.flatMap((half) => half[i]!);
      const added = (i: number) => halves[0]![i]!.map((value, c) => value + halves[1]![i]![c]!);
      expect(Array.from(output.readSync())).to.deep.equal(joined(0));
      expect(Array.from(gradients.input.readSync())).to.deep.equal(joined(1));
      expectClose(gradients.weight!.readSync(), added(2), allowance('float32'), 'gradient of the weight');
      expectClose(gradients.bias!.readSync(), added(3), allowance('float32'), 'gradient of the bias');
      expect(divided.runningVar!.readSync()).to.deep.equal(plain.runningVar!.readSync());
      expect(divided.numBatchesTracked).to.equal(2);
      for (const tensor of [gradients.input, gradients.weight!, gradients.bias!]) tensor.dispose();
    }
  });

  it('is recalibrated as the native backend is', async () => {
    const layers = [layerOf(), layerOf({ backend: 'native' })];
    using input = tensorOf(PLANES, 1);
    const states = await Promise.all(
      layers.map(async (layer) => {
        await layer.recalibrate([input]);
        return layer.stateDict();
      }),
    );
    expect(states[0]).to.deep.equal(states[1]);
    for (const layer of layers) layer.dispose();
  });

  it('knows nothing of batch renormalization, and says so', () => {
    expectError(() => layerOf({ renorm: { rMax: 1, dMax: 0 } }), 'ERR_INVALID_ARGUMENT', `backend 'native' with renorm`, 'cudnn');
  });

  it('takes an empty batch as the native backend does', async () => {
    using layer = layerOf();
    using input = Tensor.empty([0, CHANNELS, 4], { device });
    using output = layer.forward(input);
    expect(output.shape).to.deep.equal([0, CHANNELS, 4]);
    const { input: dx, weight, bias } = layer.backward(output);
    expect([...(await weight!.read()), ...(await bias!.read())]).to.deep.equal(new Array(2 * CHANNELS).fill(0));
    expect(layer.numBatchesTracked).to.equal(0);
    for (const tensor of [dx, weight!, bias!]) tensor.dispose();
  });

  it('keeps the output for backward where there is an activation, and notices that it was changed', () => {
    using layer = layerOf({ activation: 'relu', axis: -1 });
    using input = tensorOf(LAST, 1);
    const output = layer.forward(input);
    output.write(coarse(output.size, 2));
    expectError(() => layer.backward(input), 'ERR_STATE', 'output');
    layer.forward(input).dispose();
    const gradients = layer.backward(input);
    for (const tensor of [gradients.input, gradients.weight!, gradients.bias!, output]) tensor.dispose();
  });

  it('works on several streams at once, each with its own handle', async () => {
    const streams = [device.createStream(), device.createStream()];
    using layer = layerOf();
    using input = tensorOf(PLANES, 1);
    using expected = layer.forward(input);
    await device.synchronize();
    const wanted = await expected.read();
    for (let round = 0; round < 3; round++) {
      for (const stream of streams) {
        using other = layerOf();
        using output = other.forward(input, { stream });
        const { input: dx, weight, bias } = other.backward(output, { stream });
        await stream.synchronize();
        expect(await output.read()).to.deep.equal(wanted);
        for (const tensor of [dx, weight!, bias!]) tensor.dispose();
      }
    }
  });

  it('becomes part of a graph', async () => {
    using layer = layerOf({ activation: 'relu', axis: -1 });
    using twin = layerOf({ activation: 'relu', axis: -1 });
    using input = tensorOf(LAST, 1);
    using residual = tensorOf(LAST, 2);
    using output = Tensor.empty(LAST.shape, { device });
    using graph = device.capture(() => {
      layer.forward(input, { residual, out: output });
      const gradients = layer.backward(residual);
      for (const tensor of [gradients.input, gradients.weight!, gradients.bias!, gradients.residual!]) tensor.dispose();
    });
    for (let launch = 0; launch < 2; launch++) {
      graph.launch();
      using expected = twin.forward(input, { residual, saveForBackward: false });
      expect(await output.read()).to.deep.equal(await expected.read());
      expect(await layer.runningVar!.read()).to.deep.equal(await twin.runningVar!.read());
    }
  });

  it('gives its memory back', async () => {
    const step = () => {
      using layer = layerOf({ activation: 'relu', axis: -1 });
      using input = tensorOf(LAST, 1);
      using output = layer.forward(input, { residual: input });
      const gradients = layer.backward(output);
      for (const tensor of [gradients.input, gradients.weight!, gradients.bias!, gradients.residual!]) tensor.dispose();
    };
    step();
    await device.synchronize();
    const { live } = device.memory();
    for (let i = 0; i < 5; i++) step();
    expect(device.memory().live).to.equal(live);
  });

  it('has a functional form, whose statistics and mask are its own', async () => {
    using input = tensorOf(LAST, 1);
    using residual = tensorOf(LAST, 2);
    const options = { axis: -1, activation: 'relu', backend: 'cudnn' } as const;
    const { output, statistics, mask } = batchNormTraining(input, { ...options, residual });
    expect(statistics.shape).to.deep.equal([2, CHANNELS]);
    const saved = { statistics, mask, output };
    const gradients = batchNormBackward(residual, input, { ...options, ...saved });
    const view = viewOf(LAST.shape, -1);
    const values = await Promise.all([input, residual].map((tensor) => tensor.read()));
    const [x, z] = [values[0]!, values[1]!];
    const batch = batchStatistics(x, view);
    const inverse = batch.variance as Float64Array;
    expectClose(
      await statistics.read(),
      [...(batch.mean as Float64Array), ...inverse.map((v) => 1 / Math.sqrt(v + 1e-5))],
      allowance('float32'),
      'statistics',
    );
    const expected = backward(z, x, view, batch, false, { residual: z, activation: 'relu' });
    expectClose(await gradients.input.read(), expected.input, allowance('float32'), 'gradient of the input');
    expectClose(await gradients.residual!.read(), expected.residual, allowance('float32'), 'gradient of the residual');
    for (const missing of ['mask', 'output'] as const) {
      expectError(() => batchNormBackward(residual, input, { ...options, ...saved, [missing]: null }), 'ERR_INVALID_ARGUMENT', missing);
    }
    for (const tensor of [output, statistics, gradients.input, gradients.residual!]) tensor.dispose();
    mask!.dispose();
  });

  it('asks cuDNN for sizes before each pass, keeps the reserve space between them, and leaves no descriptor behind', async function () {
    if (!emulated) skip(this, 'the calls of a real library are not recorded');
    using layer = layerOf({ activation: 'relu', axis: -1, eps: 0.25, momentum: 0.5 });
    using input = tensorOf(LAST, 1);
    emulator.cudnn.reset();
    using output = layer.forward(input, { residual: input });
    const gradients = layer.backward(output);
    for (const tensor of [gradients.input, gradients.weight!, gradients.bias!, gradients.residual!]) tensor.dispose();
    await device.synchronize();
    const calls = emulator.cudnn
      .calls()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const passes = calls.filter(({ function: name }) => /BatchNormalization/.test(name));
    const reserve = 'cudnnGetBatchNormalizationTrainingExReserveSpaceSize';
    expect(passes.map(({ function: name }) => name)).to.deep.equal([
      reserve, // to allocate it
      'cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize',
      reserve,
      'cudnnBatchNormalizationForwardTrainingEx',
      'cudnnGetBatchNormalizationBackwardExWorkspaceSize',
      reserve,
      'cudnnBatchNormalizationBackwardEx',
    ]);
    expect(passes[3]).to.include({ mode: 'SPATIAL_PERSISTENT', ops: 'BN_ADD_ACTIVATION', tensor: 'float NHWC 1x8x90x1' });
    expect(passes[3]).to.include({ epsilon: 0.25, averageFactor: 0.5, running: true, saved: true });
    expect(passes[6]).to.include({ mode: 'SPATIAL_PERSISTENT', ops: 'BN_ADD_ACTIVATION', epsilon: 0.25, saved: true });
    expect(emulator.cudnn.livingDescriptors()).to.equal(0);
    expect(emulator.cudnn.complaints()).to.equal(0);
  });

  it('has one handle for each stream, whatever modes are used there', async function () {
    if (!emulated) skip(this, 'the handles of a real library are not counted');
    const stream = device.createStream();
    using input = tensorOf(PLANES, 1);
    layerOf().forward(input).dispose();
    const before = emulator.cudnn.livingHandles();
    for (const backend of ['cudnn', 'cudnn:spatial', 'cudnn:spatial-persistent'] as const) {
      using layer = layerOf({ backend });
      for (const options of [{}, { stream }]) layer.forward(input, options).dispose();
    }
    expect(emulator.cudnn.livingHandles()).to.equal(before + 1);
    await stream.synchronize();
    expect(emulator.cudnn.complaints()).to.equal(0);
  });

  describe('refuses in words', () => {
    const forwardOf =
      (options: BatchNormOptions, layout: { shape: number[] } = PLANES, dtype: DType = 'float32', mode = true) =>
      () => {
        using layer = layerOf(options).train(mode);
        using input = tensorOf(layout, 1, dtype);
        layer.forward(input).dispose();
      };

    it('activations that it does not have', () => {
      for (const activation of ['leakyRelu', 'gelu'] as const) {
        expectError(forwardOf({ activation, axis: -1 }, LAST), 'ERR_INVALID_ARGUMENT', 'for backend cudnn', activation);
      }
    });

    it('the biased running variance', () => {
      expectError(forwardOf({ runningVariance: 'biased' }), 'ERR_INVALID_ARGUMENT', 'for backend cudnn', 'unbiased');
    });

    it('parameters of another type than the tensors ask for', () => {
      expectError(forwardOf({ dtype: 'float64' }), 'ERR_INVALID_ARGUMENT', 'for backend cudnn', 'float64');
    });

    it('inference with an activation or a residual', () => {
      expectError(forwardOf({ activation: 'relu' }, PLANES, 'float32', false), 'ERR_INVALID_ARGUMENT', 'inference', 'activation');
      using layer = layerOf().eval();
      using input = tensorOf(PLANES, 1);
      expectError(() => layer.forward(input, { residual: input }), 'ERR_INVALID_ARGUMENT', 'inference', 'residual');
    });

    it('backward with constant statistics', () => {
      using layer = layerOf().eval();
      using input = tensorOf(PLANES, 1);
      using output = layer.forward(input, { saveForBackward: true });
      expectError(() => layer.backward(output), 'ERR_INVALID_ARGUMENT', 'statistics of the batch');
    });

    it('statistics for each position', () => {
      expectError(forwardOf({ backend: 'cudnn:per-activation' }), 'ERR_INVALID_ARGUMENT', 'per-activation');
    });

    it('more elements than it can count', () => {
      using layer = layerOf();
      using small = tensorOf(FLAT, 1);
      using input = Tensor.fromPointer(small.pointer, [2 ** 16, CHANNELS, 2 ** 12], { dtype: 'float16', device });
      using out = Tensor.fromPointer(small.pointer, [2 ** 16, CHANNELS, 2 ** 12], { dtype: 'float16', device });
      expectError(() => layer.forward(input, { out, saveForBackward: false }), 'ERR_INVALID_ARGUMENT', '2^31 - 1', String(2 ** 31));
    });

    it('by its own words what only it knows', () => {
      expectError(forwardOf({ activation: 'relu', backend: 'cudnn:spatial' }), 'ERR_CUDNN', 'CUDNN_STATUS_', 'NOT_SUPPORTED');
      expectError(forwardOf({ activation: 'tanh', axis: -1 }, LAST), 'ERR_CUDNN', 'NOT_SUPPORTED');
      using layer = layerOf({ axis: -1 });
      using input = tensorOf(LAST, 1);
      expectError(() => layer.forward(input, { residual: input }), 'ERR_CUDNN', 'NOT_SUPPORTED');
    });

    it('the CPU', () => {
      expectError(() => new BatchNorm(2, { device: 'cpu', backend: 'cudnn' }), 'ERR_DEVICE_UNAVAILABLE', 'the device is cpu');
    });
  });

  it('is the same however often it is asked for, and only by its names', () => {
    using layer = layerOf({ backend: 'cudnn:spatial' });
    expect(layer.numFeatures).to.equal(CHANNELS);
    for (const backend of ['cuDNN', 'cudnn:', 'cudnn:fast', 'cudnn:native', '', null, 1]) {
      expectError(() => new BatchNorm(2, { device, backend: backend as never }), 'ERR_INVALID_ARGUMENT', 'options.backend');
    }
  });
});
