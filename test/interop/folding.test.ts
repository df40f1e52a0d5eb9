import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, type DType, Tensor } from '../../lib/index';
import { foldBatchNorm, type FoldOptions } from '../../lib/interop/folding';
import { halfBits } from '../../lib/interop/half';
import { device } from '../helpers/device';
import { expectRejection } from '../helpers/failure';
import { normals, uniform } from '../helpers/random';

const C = 3;
const vector = (values: ArrayLike<number>) => ({ dtype: 'float64', shape: [values.length], data: Float64Array.from(values) });

/** A state with a tiny variance, a γ of 0 and ordinary values. */
const state = (change: object = {}) => ({
  weight: vector([1.5, 0, -2]),
  bias: vector([0.5, -1, 3]),
  running_mean: vector([10, -0.25, 0]),
  running_var: vector([1e-12, 4, 0.5]),
  ...change,
});

/** Of a linear layer whose weight has its output channels at `axis`: the sum over all else, for each channel, of weight·x. */
function contract(
  weight: ArrayLike<number>,
  shape: readonly number[],
  axis: number,
  bias: ArrayLike<number>,
  x: (inner: number) => number,
): number[] {
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const channels = shape[axis]!;
  const sums = Array.from(bias);
  for (let i = 0; i < weight.length; ++i) {
    const channel = Math.floor(i / inner) % channels;
    const outer = Math.floor(i / inner / channels);
    sums[channel]! += weight[i]! * x(outer * inner + (i % inner));
  }
  return sums;
}

describe('folding', () => {
  it('scales each output channel and moves the bias, in double', async () => {
    const { weight, bias } = await foldBatchNorm(
      { shape: [C, 1], data: Float64Array.of(1, 2, 3) },
      { shape: [C], data: [1, 1, 1] },
      state(),
      { eps: 1e-3 },
    );
    const scale = [1.5 / Math.sqrt(1e-12 + 1e-3), 0, -2 / Math.sqrt(0.501)];
    expect(weight).to.deep.equal({ shape: [C, 1], data: Float64Array.of(scale[0]!, 0, 3 * scale[2]!) });
    expect(bias).to.deep.equal({ shape: [C], data: Float64Array.of((1 - 10) * scale[0]! + 0.5, -1, scale[2]! + 3) });
  });

  it('does without a bias, γ and β, and has PyTorch’s eps', async () => {
    const bare = { running_mean: vector([1]), running_var: vector([1]) };
    const { weight, bias } = await foldBatchNorm({ shape: [1, 2], data: Float64Array.of(1, 2) }, null, bare);
    const scale = 1 / Math.sqrt(1 + 1e-5);
    expect([...weight.data, ...bias.data]).to.deep.equal([scale, 2 * scale, -scale]);
  });

  it('gives what it is given: arrays of their precision, tensors of their dtype and device', async () => {
    const numbers = await foldBatchNorm({ shape: [C, 1], data: [1, 2, 3] }, null, state());
    expect(numbers.weight.data).to.be.instanceOf(Float32Array);
    for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const) {
      using given = Tensor.from([0.01, 2, 3], [C, 1], { dtype, device });
      using offset = Tensor.from([1, 2, 3], [C], { dtype, device });
      const folded = await foldBatchNorm(given, offset, state());
      using weight = folded.weight;
      using bias = folded.bias;
      expect([weight.dtype, weight.device, weight.shape, bias.dtype, bias.shape]).to.deep.equal([dtype, device, [C, 1], dtype, [C]]);
      const exact = await foldBatchNorm(
        { shape: [C, 1], data: Float64Array.from(await given.read()) },
        { shape: [C], data: [1, 2, 3] },
        state(),
      );
      using rounded = Tensor.from(exact.weight.data, [C, 1], { dtype, device });
      expect(await weight.read()).to.deep.equal(await rounded.read());
    }
  });

  it('takes tensors of files by their dtype: half floats are 16 bits there', async () => {
    const stored = (dtype: 'F32' | 'F16', ...values: number[]) =>
      ({ dtype, shape: [C, 1], data: dtype === 'F32' ? Float32Array.from(values) : halfBits(values, 'float16') }) as const;
    const exact = await foldBatchNorm({ shape: [C, 1], data: Float64Array.of(0.5, 2, 3) }, null, state());
    const single = await foldBatchNorm(stored('F32', 0.5, 2, 3), null, state());
    expect(single.weight).to.deep.equal({ dtype: 'F32', shape: [C, 1], data: Float32Array.from(exact.weight.data) });
    const half = await foldBatchNorm(stored('F16', 0.5, 2, 3), { ...stored('F16', 0, 0, 0), shape: [C] }, state());
    expect(half.weight).to.deep.equal({ dtype: 'F16', shape: [C, 1], data: halfBits(exact.weight.data, 'float16') });
    expect(half.bias).to.deep.equal({ dtype: 'F16', shape: [C], data: halfBits(exact.bias.data, 'float16') });
    const entry = await foldBatchNorm(vector([0.5, 2, 3]), null, state());
    expect(entry.weight).to.deep.equal({ shape: [C], data: exact.weight.data });
    const refuse = (change: object, code: Parameters<typeof expectRejection>[1], ...words: string[]) =>
      expectRejection(foldBatchNorm({ ...stored('F16', 0.5, 2, 3), ...change } as never, null, state()), code, ...words);
    for (const dtype of ['float16', 'F31', null, {}, 5]) await refuse({ dtype }, 'ERR_DTYPE', 'weight.dtype');
    await refuse({ dtype: 'I16', data: Int16Array.of(1, 2, 3) }, 'ERR_DTYPE', 'I16');
    await refuse({ data: [1, 2, 3] }, 'ERR_INVALID_ARGUMENT', 'weight.data', 'Uint16Array');
    await refuse({ data: Uint16Array.of(1) }, 'ERR_SHAPE', 'weight.data', 'length 1');
    await refuse(stored('F16', 1, 1, 60000), 'ERR_DTYPE', 'the folded weight', 'float16');
  });

  it('reproduces eval mode for any rank, output axis, dtype and activation-free layer', async () => {
    const kinds = fc.record({
      shape: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
      at: fc.nat(3),
      negative: fc.boolean(),
      dtype: fc.constantFrom<DType>('float32', 'float64', 'float16', 'bfloat16'),
      affine: fc.constantFrom<boolean | 'weight' | 'bias'>(true, false, 'weight', 'bias'),
      biased: fc.boolean(),
      eps: fc.constantFrom(1e-5, 1e-3),
      variance: fc.constantFrom(1, 1e-12, 100),
      gamma: fc.constantFrom(1, 1e-9),
      seed: fc.nat(1e6),
    });
    const property = fc.asyncProperty(kinds, async ({ shape, at, negative, dtype, affine, biased, eps, variance, gamma, seed }) => {
      const axis = at % shape.length;
      const channels = shape[axis]!;
      const count = shape.reduce((a, b) => a * b, 1);
      using norm = new BatchNorm(channels, { affine, eps, dtype: 'float64', device }).eval();
      const next = uniform(seed);
      norm.runningMean!.write(normals(channels, seed + 1));
      norm.runningVar!.write(Float64Array.from({ length: channels }, () => variance * next()));
      norm.weight?.write(normals(channels, seed + 2, gamma, gamma));
      norm.bias?.write(normals(channels, seed + 3));
      using weight = Tensor.from(normals(count, seed + 4), shape, { dtype, device });
      using bias = biased ? Tensor.from(normals(channels, seed + 5), [channels], { dtype, device }) : null;
      const folded = await foldBatchNorm(weight, bias, norm, { outputAxis: negative ? axis - shape.length : axis });
      using newWeight = folded.weight;
      using newBias = folded.bias;
      const x = normals(count, seed + 6);
      const before = contract(await weight.read(), shape, axis, (await bias?.read()) ?? new Float64Array(channels), (i) => x[i]!);
      using hidden = Tensor.from(Float64Array.from(before), [1, channels], { device });
      using output = norm.forward(hidden);
      const wanted = await output.read();
      const [w, b] = [await newWeight.read(), await newBias.read()];
      const actual = contract(w, shape, axis, b, (i) => x[i]!);
      // One rounding of each new weight and of the bias is all that may be lost.
      const unit = { float64: 1e-15, float32: 2 ** -24, float16: 2 ** -11, bfloat16: 2 ** -8 }[dtype];
      const smallest = dtype === 'float16' ? 2 ** -25 : 0;
      const size = contract(w.map(Math.abs), shape, axis, b.map(Math.abs), (i) => Math.abs(x[i]!));
      const terms = count / channels + 1;
      actual.forEach((value, channel) => {
        const allowed = 4 * unit * size[channel]! + 1e-13 * size[channel]! + terms * smallest * 8;
        expect(Math.abs(value - wanted[channel]!), `channel ${channel}: ${value}, ${wanted[channel]}`).to.be.at.most(allowed + 1e-13);
      });
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it('reads a layer in training mode and with an activation, which remains to be done, and changes nothing', async () => {
    using norm = new BatchNorm(1, { activation: 'relu', eps: 1, device });
    const before = await norm.stateDict();
    const { weight, bias } = await foldBatchNorm({ shape: [1], data: Float64Array.of(-2) }, null, norm);
    expect([weight.data[0], bias.data[0]]).to.deep.equal([-2 / Math.sqrt(2), 0]);
    expect(norm.training).to.equal(true);
    expect(await norm.stateDict()).to.deep.equal(before);
  });

  it('refuses what does not fit, in words', async () => {
    const weight = { shape: [C, 2], data: [1, 2, 3, 4, 5, 6] };
    const refuse = (args: unknown[], code: Parameters<typeof expectRejection>[1], ...words: string[]) =>
      expectRejection((foldBatchNorm as (...args: unknown[]) => Promise<unknown>)(...args), code, ...words);
    for (const wrong of [undefined, null, 1, [1], { shape: [1] }]) await refuse([wrong, null, state()], 'ERR_INVALID_ARGUMENT', 'weight');
    await refuse([{ ...weight, shape: [-1] }, null, state()], 'ERR_INVALID_ARGUMENT', 'weight.shape');
    await refuse([{ ...weight, shape: [] }, null, state()], 'ERR_SHAPE', 'options.outputAxis');
    await refuse([{ ...weight, data: [1] }, null, state()], 'ERR_SHAPE', 'weight.data', 'length 1');
    await refuse([{ ...weight, data: ['1', 2, 3, 4, 5, 6] }, null, state()], 'ERR_INVALID_ARGUMENT', 'weight.data[0]');
    await refuse([weight, undefined, state()], 'ERR_INVALID_ARGUMENT', 'bias');
    await refuse([weight, { shape: [2], data: [1, 2] }, state()], 'ERR_SHAPE', 'bias.shape');
    await refuse([weight, { shape: [C], data: [1, 2] }, state()], 'ERR_SHAPE', 'bias.data');
    for (const wrong of [undefined, null, 1, []]) await refuse([weight, null, wrong], 'ERR_INVALID_ARGUMENT', 'norm');
    await refuse([weight, null, { weight: vector([1, 2, 3]) }], 'ERR_INVALID_ARGUMENT', 'running_mean');
    await refuse([weight, null, state({ weight: vector([1]) })], 'ERR_SHAPE', 'state.weight', 'length 1');
    await refuse([weight, null, state(), { outputAxis: 1 }], 'ERR_SHAPE', 'length 2');
    const axes: [FoldOptions['outputAxis'] | string, 'ERR_SHAPE' | 'ERR_INVALID_ARGUMENT'][] = [
      [2, 'ERR_SHAPE'],
      [-3, 'ERR_SHAPE'],
      [0.5, 'ERR_SHAPE'],
      ['0', 'ERR_INVALID_ARGUMENT'],
    ];
    for (const [outputAxis, code] of axes) await refuse([weight, null, state(), { outputAxis }], code, 'options.outputAxis');
    for (const eps of [-1, Number.NaN, '1']) await refuse([weight, null, state(), { eps }], 'ERR_INVALID_ARGUMENT', 'options.eps');
    await refuse([weight, null, state(), { axis: 1 }], 'ERR_INVALID_ARGUMENT', "'axis'");
    for (const value of [0, -1, Number.NaN])
      await refuse([weight, null, state({ running_var: vector([1, value, 1]) }), { eps: 0 }], 'ERR_INVALID_ARGUMENT', 'running_var[1]');
    using untracked = new BatchNorm(C, { trackRunningStats: false, device });
    await refuse([weight, null, untracked], 'ERR_STATE', 'running statistics');
    using wide = new BatchNorm(2, { device });
    await refuse([weight, null, wide], 'ERR_SHAPE', '3 channels');
    await refuse([weight, null, wide, { outputAxis: 1, eps: 1 }], 'ERR_INVALID_ARGUMENT', 'options.eps');
    wide.dispose();
    await refuse([weight, null, wide, { outputAxis: 1 }], 'ERR_DISPOSED');
    using half = Tensor.from([1, 1, 60000], [C, 1], { dtype: 'float16', device });
    await refuse([half, null, state()], 'ERR_DTYPE', 'float16');
    half.dispose();
    await refuse([half, null, state()], 'ERR_DISPOSED');
  });
});
