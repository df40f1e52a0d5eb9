/** RecurrentBatchNorm against a BatchNorm for each time step. */

import { expect } from 'chai';
import { BatchNorm, RecurrentBatchNorm, type RecurrentBatchNormOptions, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError, expectRejection } from './helpers/failure';
import { normals } from './helpers/random';

const C = 4;
const N = 6;
const HORIZON = 3;

const inputOf = (seed: number) => Tensor.from(normals(N * C, seed, seed), [N, C], { device });
const take = (tensor: Tensor) => {
  using owned = tensor;
  return owned.readSync();
};

function recurrentOf(options: Partial<RecurrentBatchNormOptions> = {}): RecurrentBatchNorm {
  const layer = new RecurrentBatchNorm(C, { horizon: HORIZON, device, ...options });
  layer.weight?.write(normals(C, 1, 1, 0.5));
  layer.bias?.write(normals(C, 2));
  return layer;
}

function independentOf(options: Partial<RecurrentBatchNormOptions> = {}): BatchNorm[] {
  const { horizon: _, ...others } = options;
  return Array.from({ length: HORIZON }, () => {
    const layer = new BatchNorm(C, { device, ...others });
    layer.weight?.write(normals(C, 1, 1, 0.5));
    layer.bias?.write(normals(C, 2));
    return layer;
  });
}

describe('RecurrentBatchNorm', () => {
  for (const options of [
    {},
    { momentum: null },
    { activation: 'tanh' },
    { renorm: { rMax: 2, dMax: 1 } },
    { virtualBatchSize: 3 },
  ] as const) {
    it(`is a layer for each step, which share weight and bias, with ${JSON.stringify(options)}`, () => {
      using recurrent = recurrentOf(options);
      const layers = independentOf(options);
      for (const epoch of [0, 1]) {
        for (let t = 0; t < HORIZON; ++t) {
          using input = inputOf(10 * epoch + t);
          expect(take(recurrent.forward(input, t))).to.deep.equal(take(layers[t]!.forward(input)));
        }
        for (let t = HORIZON - 1; t >= 0; --t) {
          using gradOutput = inputOf(20 + t);
          const ours = recurrent.backward(gradOutput, t);
          const wanted = layers[t]!.backward(gradOutput);
          for (const name of ['input', 'weight', 'bias'] as const) expect(take(ours[name]!), name).to.deep.equal(take(wanted[name]!));
        }
      }
      expect(recurrent.runningMean!.map((mean) => mean.readSync())).to.deep.equal(layers.map((layer) => layer.runningMean!.readSync()));
      expect(recurrent.runningVar!.map((variance) => variance.readSync())).to.deep.equal(
        layers.map((layer) => layer.runningVar!.readSync()),
      );
      expect(recurrent.numBatchesTracked).to.deep.equal(layers.map((layer) => layer.numBatchesTracked));
      recurrent.eval();
      for (const [t, layer] of layers.entries()) {
        using input = inputOf(30);
        expect(take(recurrent.forward(input, t))).to.deep.equal(take(layer.eval().forward(input)));
        layer.dispose();
      }
    });
  }

  it('lets steps at and beyond the horizon share the last statistics, each with a backward pass of its own', () => {
    using recurrent = recurrentOf();
    using last = independentOf()[0]!;
    const steps = [HORIZON - 1, HORIZON, HORIZON + 4];
    const wanted = steps.map((t) => {
      using input = inputOf(t);
      expect(take(recurrent.forward(input, t))).to.deep.equal(take(last.forward(input)));
      return take(last.backward(input).input);
    });
    expect(recurrent.numBatchesTracked).to.deep.equal([0, 0, 3]);
    for (const [i, t] of steps.entries()) {
      using gradOutput = inputOf(t);
      expect(take(recurrent.backward(gradOutput, t).input)).to.deep.equal(wanted[i]);
    }
    expect(recurrent.runningMean![HORIZON - 1]!.readSync()).to.deep.equal(last.runningMean!.readSync());
    recurrent.eval();
    last.eval();
    using input = inputOf(9);
    expect(take(recurrent.forward(input, 1000))).to.deep.equal(take(last.forward(input)));
  });

  it('notices that a later step changed the statistics that a saved one was given', () => {
    using recurrent = recurrentOf().eval();
    using input = inputOf(1);
    recurrent.forward(input, HORIZON, { saveForBackward: true }).dispose();
    recurrent
      .train()
      .forward(input, HORIZON + 1)
      .dispose();
    expectError(() => recurrent.backward(input, HORIZON), 'ERR_STATE', 'mean', 'changed');
  });

  it('keeps no statistics where it is told so', () => {
    using recurrent = recurrentOf({ trackRunningStats: false, affine: false });
    expect(recurrent.runningMean).to.equal(null);
    expect(recurrent.runningVar).to.equal(null);
    expect(recurrent.numBatchesTracked).to.deep.equal([0, 0, 0]);
    using input = inputOf(1);
    const inTraining = take(recurrent.forward(input, 0));
    expect(take(recurrent.eval().forward(input, 1))).to.deep.equal(inTraining);
  });

  it('has a state of tensors [T, C] that survives a round trip', async () => {
    for (const dtype of ['float32', 'float64'] as const) {
      using recurrent = recurrentOf({ dtype });
      for (let t = 0; t < HORIZON; ++t) {
        using input = inputOf(t);
        for (let i = 0; i <= t; ++i) recurrent.forward(input, t).dispose();
      }
      const state = await recurrent.stateDict();
      expect(Object.fromEntries(Object.entries(state).map(([name, entry]) => [name, [entry.dtype, ...entry.shape]]))).to.deep.equal({
        weight: [dtype, C],
        bias: [dtype, C],
        running_mean: [dtype, HORIZON, C],
        running_var: [dtype, HORIZON, C],
        num_batches_tracked: ['int64', HORIZON],
      });
      expect(state.num_batches_tracked!.data).to.deep.equal(BigInt64Array.of(1n, 2n, 3n));
      using other = new RecurrentBatchNorm(C, { horizon: HORIZON, dtype, device });
      other.loadStateDict(state);
      expect(await other.stateDict()).to.deep.equal(state);
      using input = inputOf(5);
      expect(take(other.eval().forward(input, 1))).to.deep.equal(take(recurrent.eval().forward(input, 1)));
      const { running_var: _, ...lacking } = state;
      expectError(() => other.loadStateDict(lacking), 'ERR_INVALID_ARGUMENT', `missing: 'running_var'`);
      const wrong = { ...state, running_mean: { ...state.running_mean!, shape: [C, HORIZON] } };
      other.weight!.write(normals(C, 50));
      const before = await other.stateDict();
      expectError(() => other.loadStateDict(wrong), 'ERR_SHAPE', `[${HORIZON}, ${C}]`, 'state.running_mean.shape');
      expect(await other.stateDict(), 'nothing was touched').to.deep.equal(before);
    }
  });

  it('loads a state that lacks something, as it is told', async () => {
    using recurrent = recurrentOf();
    using input = inputOf(1);
    for (let t = 0; t < HORIZON; ++t) recurrent.forward(input, t).dispose();
    const { num_batches_tracked: _, ...old } = await recurrent.stateDict();
    recurrent.loadStateDict(old);
    expect(recurrent.numBatchesTracked).to.deep.equal([0, 0, 0]);
    const { weight } = old;
    for (let t = 0; t < HORIZON; ++t) recurrent.forward(input, t).dispose();
    recurrent.weight!.write(normals(C, 50));
    const { weight: _weight, ...others } = await recurrent.stateDict();
    recurrent.loadStateDict({ weight: weight!, more: weight! }, { strict: false });
    expect(await recurrent.stateDict()).to.deep.equal({ weight, ...others });
    recurrent.weight!.write(normals(C, 50));
    const before = recurrent.weight!.readSync();
    recurrent.runningVar![1]!.dispose();
    expectError(() => recurrent.loadStateDict(old), 'ERR_DISPOSED', 'running_var');
    expect(recurrent.weight!.readSync(), 'nothing was touched').to.deep.equal(before);
  });

  it('resets all its statistics or none', () => {
    using recurrent = recurrentOf();
    for (const mean of recurrent.runningMean!) mean.write([9, 9, 9, 9]);
    recurrent.runningVar![1]!.dispose();
    expectError(() => recurrent.resetRunningStats(), 'ERR_DISPOSED');
    expect(Array.from(recurrent.runningMean![0]!.readSync())).to.deep.equal([9, 9, 9, 9]);
  });

  it('leaves no memory behind: where there is not enough for it, and when it is disposed', () => {
    const channels = 2 ** 16;
    const bytes = 4 * channels;
    const make = () => new RecurrentBatchNorm(channels, { horizon: 2, device });
    using input = Tensor.zeros([2, channels], { device });
    device.emptyCache();
    const { live, limit } = device.memory();
    try {
      for (let tensors = 0; tensors < 6; ++tensors) {
        device.emptyCache();
        device.setMemoryLimit(live + tensors * bytes + bytes / 2);
        expectError(make, 'ERR_OUT_OF_MEMORY');
        expect(device.memory().live, `with room for ${tensors}`).to.equal(live);
      }
    } finally {
      device.setMemoryLimit(limit);
    }
    const recurrent = make();
    for (const step of [0, 1, 5]) recurrent.forward(input, step).dispose();
    recurrent.dispose();
    expect(device.memory().live).to.equal(live);
  });

  it('recalibrates a time step as the layer of that step would be', async () => {
    using recurrent = recurrentOf();
    using layer = independentOf()[0]!;
    using first = inputOf(1);
    using second = inputOf(2);
    const untouched = recurrent.runningVar![0]!.readSync();
    await recurrent.recalibrate([first, second], 1);
    await layer.recalibrate([first, second]);
    expect(recurrent.runningMean![1]!.readSync()).to.deep.equal(layer.runningMean!.readSync());
    expect(recurrent.runningVar![1]!.readSync()).to.deep.equal(layer.runningVar!.readSync());
    expect(recurrent.runningVar![0]!.readSync()).to.deep.equal(untouched);
    expect(recurrent.numBatchesTracked).to.deep.equal([0, 2, 0]);
    await recurrent.recalibrate([second], HORIZON + 5);
    expect(recurrent.numBatchesTracked, 'steps beyond the horizon share the last one').to.deep.equal([0, 2, 1]);
    await expectRejection(recurrent.recalibrate([first], -1), 'ERR_INVALID_ARGUMENT', 'step', '-1');
    using untracked = recurrentOf({ trackRunningStats: false });
    await expectRejection(untracked.recalibrate([first], 0), 'ERR_STATE', 'trackRunningStats');
  });

  it('goes back to the start', async () => {
    using recurrent = recurrentOf();
    using fresh = recurrentOf();
    using input = inputOf(1);
    recurrent.forward(input, 1).dispose();
    recurrent.resetRunningStats();
    expect(await recurrent.stateDict()).to.deep.equal(await fresh.stateDict());
  });

  it('says what it takes', async () => {
    for (const horizon of [undefined, 0, 1.5, '3']) {
      const options = { horizon, device } as unknown as RecurrentBatchNormOptions;
      expectError(() => new RecurrentBatchNorm(C, options), 'ERR_INVALID_ARGUMENT', 'a positive integer', 'options.horizon');
    }
    expectError(() => recurrentOf({ horizon: 2 ** 32 }), 'ERR_INVALID_ARGUMENT', 'at most 65536', 'options.horizon');
    expectError(() => new RecurrentBatchNorm(C, undefined as unknown as RecurrentBatchNormOptions), 'ERR_INVALID_ARGUMENT', 'horizon');
    expectError(() => new BatchNorm(C, { device, horizon: 3 } as object), 'ERR_INVALID_ARGUMENT', `'horizon'`);
    const recurrent = recurrentOf();
    expect(`${recurrent}`).to.match(/^RecurrentBatchNorm\(4, \{.*horizon: 3 \}\) on .*, training$/);
    using input = inputOf(1);
    expectError(() => recurrent.forward(input, -1), 'ERR_INVALID_ARGUMENT', 'a non-negative integer', 'step', '-1');
    expectError(() => recurrent.forward(input, 0.5), 'ERR_INVALID_ARGUMENT', 'step');
    expectError(() => recurrent.backward(input, 2), 'ERR_STATE', 'forward pass saved');
    recurrent.forward(input, 2).dispose();
    const { live } = device.memory();
    recurrent.dispose();
    expect(recurrent.disposed).to.equal(true);
    expect(device.memory().live, 'parameters, statistics and the saved pass are given back').to.be.lessThan(live);
    expectError(() => recurrent.forward(input, 0), 'ERR_DISPOSED', 'RecurrentBatchNorm');
    expectError(() => recurrent.backward(input, 2), 'ERR_DISPOSED');
    await expectRejection(recurrent.stateDict(), 'ERR_DISPOSED');
  });
});
