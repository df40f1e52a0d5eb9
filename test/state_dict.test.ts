import { expect } from 'chai';
import { BatchNorm, type BatchNormOptions, type LoadableEntry, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError, expectRejection } from './helpers/failure';

const layerOf = (options?: BatchNormOptions) => new BatchNorm(2, { device, ...options });
const entry = (a: number, b: number) => ({ dtype: 'float32', shape: [2], data: new Float32Array([a, b]) });
const counter = (count: bigint) => ({ dtype: 'int64', shape: [], data: BigInt64Array.of(count) });
const state = (): Record<string, LoadableEntry> => ({
  weight: entry(1, 2),
  bias: entry(3, 4),
  running_mean: entry(5, 6),
  running_var: entry(7, 8),
  num_batches_tracked: counter(9n),
});

function train(layer: BatchNorm): void {
  layer.forward(Tensor.from([1, 2, 3, 5], [2, 2], { device }));
}

describe('the state dictionary', () => {
  it('has PyTorch’s keys, shapes and dtypes, as the options ask', async () => {
    const layer = layerOf();
    train(layer);
    const saved = await layer.stateDict();
    expect(Object.keys(saved)).to.deep.equal(['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']);
    expect(saved.weight).to.deep.equal(entry(1, 1));
    expect(saved.num_batches_tracked).to.deep.equal(counter(1n));
    const keys = async (options: BatchNormOptions) => Object.keys(await layerOf(options).stateDict());
    expect(await keys({ affine: false })).to.deep.equal(['running_mean', 'running_var', 'num_batches_tracked']);
    expect(await keys({ affine: 'bias', trackRunningStats: false })).to.deep.equal(['bias']);
    const double = await layerOf({ dtype: 'float64' }).stateDict();
    expect(double.bias).to.deep.equal({ dtype: 'float64', shape: [2], data: new Float64Array(2) });
  });

  it('is a copy of one moment', async () => {
    const layer = layerOf();
    const promise = layer.stateDict();
    train(layer);
    layer.weight!.write([9, 9]);
    const saved = await promise;
    expect(saved.weight).to.deep.equal(entry(1, 1));
    expect(saved.running_mean).to.deep.equal(entry(0, 0));
    expect(saved.num_batches_tracked).to.deep.equal(counter(0n));
  });

  it('survives a round trip, across dtypes too', async () => {
    for (const dtype of ['float32', 'float64'] as const) {
      const layer = layerOf({ dtype });
      layer.loadStateDict(state());
      expect(layer.numBatchesTracked).to.equal(9);
      const saved = await layer.stateDict();
      const again = layerOf();
      again.loadStateDict(saved);
      expect(await again.stateDict()).to.deep.equal(state());
    }
  });

  it('may lack the counter, which then is 0', () => {
    const layer = layerOf();
    train(layer);
    const { num_batches_tracked, ...old } = state();
    layer.loadStateDict(old);
    expect(layer.numBatchesTracked).to.equal(0);
  });

  it('takes plain arrays of numbers', async () => {
    const layer = layerOf({ affine: 'weight', trackRunningStats: false });
    layer.loadStateDict({ weight: { dtype: 'float32', shape: [2], data: [0.5, 2] } });
    expect(await layer.stateDict()).to.deep.equal({ weight: entry(0.5, 2) });
  });

  it('lists all missing and all unexpected keys', () => {
    const { weight, running_var, ...rest } = state();
    const wrong = { ...rest, gamma: weight!, moving_variance: running_var! };
    expectError(
      () => layerOf().loadStateDict(wrong),
      'ERR_INVALID_ARGUMENT',
      "missing: 'weight', 'running_var'",
      "unexpected: 'gamma', 'moving_variance'",
    );
    expectError(() => layerOf({ trackRunningStats: false }).loadStateDict(state()), 'ERR_INVALID_ARGUMENT', "'num_batches_tracked'");
  });

  it('ignores both where it is told to', async () => {
    const layer = layerOf();
    train(layer);
    layer.loadStateDict({ weight: entry(5, 5), gamma: entry(1, 1) }, { strict: false });
    expect((await layer.stateDict()).weight).to.deep.equal(entry(5, 5));
    expect(layer.numBatchesTracked).to.equal(1);
    layer.loadStateDict({ num_batches_tracked: counter(4n) }, { strict: false });
    expect(layer.numBatchesTracked).to.equal(4);
    expectError(() => layer.loadStateDict({ weight: { ...entry(1, 1), shape: [3] } }, { strict: false }), 'ERR_SHAPE');
  });

  it('is refused as a whole, before anything is touched', async () => {
    const layer = layerOf();
    train(layer);
    const before = await layer.stateDict();
    const refuse = (change: Record<string, unknown>, code: Parameters<typeof expectError>[1], ...words: string[]) =>
      expectError(() => layer.loadStateDict({ ...state(), ...change } as never), code, ...words);
    refuse({ running_var: null }, 'ERR_INVALID_ARGUMENT', 'state.running_var');
    refuse({ running_var: [1, 2] }, 'ERR_DTYPE', 'state.running_var.dtype');
    refuse({ running_var: { ...entry(1, 2), dtype: 'float16' } }, 'ERR_DTYPE', 'state.running_var.dtype', "'float16'");
    refuse({ running_var: { ...entry(1, 2), shape: [3] } }, 'ERR_SHAPE', 'length 2', 'state.running_var', 'length 3');
    refuse({ running_var: { ...entry(1, 2), shape: [1, 2] } }, 'ERR_SHAPE', 'state.running_var.shape');
    refuse({ running_var: { ...entry(1, 2), shape: 2 } }, 'ERR_INVALID_ARGUMENT', 'state.running_var.shape');
    refuse({ running_var: { ...entry(1, 2), data: new Float32Array(3) } }, 'ERR_SHAPE', 'state.running_var.data', 'length 3');
    refuse({ running_var: { ...entry(1, 2), data: ['1', 2] } }, 'ERR_INVALID_ARGUMENT', 'state.running_var.data[0]');
    refuse({ running_var: { ...entry(1, 2), data: 'x' } }, 'ERR_INVALID_ARGUMENT', 'state.running_var.data');
    refuse({ num_batches_tracked: counter(-1n) }, 'ERR_INVALID_ARGUMENT', 'state.num_batches_tracked');
    refuse({ num_batches_tracked: counter(2n ** 60n) }, 'ERR_INVALID_ARGUMENT', 'state.num_batches_tracked');
    refuse({ num_batches_tracked: { ...counter(1n), dtype: 'float32' } }, 'ERR_DTYPE', 'state.num_batches_tracked.dtype');
    refuse({ num_batches_tracked: { ...counter(1n), shape: [1] } }, 'ERR_SHAPE', 'state.num_batches_tracked.shape');
    refuse({ num_batches_tracked: { ...counter(1n), data: [1] } }, 'ERR_INVALID_ARGUMENT', 'BigInt64Array');
    refuse({ num_batches_tracked: { ...counter(1n), data: new BigInt64Array(2) } }, 'ERR_SHAPE', 'length 1', 'length 2');
    for (const wrong of [null, undefined, 1, 'weight', [], new Map()])
      expectError(() => layer.loadStateDict(wrong as never), 'ERR_INVALID_ARGUMENT', 'state');
    expectError(() => layer.loadStateDict(state(), { strict: 'yes' } as never), 'ERR_INVALID_ARGUMENT', 'options.strict');
    expectError(() => layer.loadStateDict(state(), { Strict: true } as never), 'ERR_INVALID_ARGUMENT', "Did you mean 'strict'?");
    expect(await layer.stateDict()).to.deep.equal(before);
  });

  it('is not to be had of a disposed layer', async () => {
    const layer = layerOf();
    layer.dispose();
    await expectRejection(layer.stateDict(), 'ERR_DISPOSED');
  });
});
