/** Ghost batches against the same layer called with one part of the batch after the other. */

import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, type BatchNormOptions, batchNormBackward, batchNormTraining, Tensor } from '../lib/index';
import { ACTIVATIONS } from '../lib/validation/oracle';
import { affordable, device } from './helpers/device';
import { expectError } from './helpers/failure';
import { normals } from './helpers/random';

type Values = Float32Array | Float64Array;

interface Results {
  readonly y: Values;
  readonly dx: Values;
  readonly dResidual: Values | null;
  readonly dWeight: Values;
  readonly dBias: Values;
}

const take = (tensor: Tensor): Values => {
  using owned = tensor;
  return owned.readSync();
};

type DType = 'float32' | 'float64' | 'float16';

const tensorOf = (data: Values, shape: readonly number[], dtype: DType) => Tensor.from(data, shape, { dtype, device });

function pass(layer: BatchNorm, shape: readonly number[], dtype: DType, x: Values, residual: Values | null, dy: Values): Results {
  using input = tensorOf(x, shape, dtype);
  return passOn(layer, input, residual, dy);
}

function passOn(layer: BatchNorm, input: Tensor, residual: Values | null, dy: Values): Results {
  const { shape } = input;
  const dtype = input.dtype as DType;
  using added = residual && tensorOf(residual, shape, dtype);
  const output = layer.forward(input, { residual: added });
  const y = output.readSync();
  if (output !== input) output.dispose();
  using gradOutput = tensorOf(dy, shape, dtype);
  const { input: dx, weight, bias, residual: dResidual } = layer.backward(gradOutput);
  return { y, dx: take(dx), dResidual: dResidual ? take(dResidual) : null, dWeight: take(weight!), dBias: take(bias!) };
}

function layersOf(channels: number, options: BatchNormOptions): BatchNorm[] {
  return [options, { ...options, virtualBatchSize: null }].map((each) => {
    const layer = new BatchNorm(channels, { device, ...each });
    layer.weight!.write(normals(channels, 1, 1, 0.5));
    layer.bias!.write(normals(channels, 2));
    return layer;
  });
}

const joined = (parts: readonly Values[]): number[] => parts.flatMap((part) => Array.from(part));
const sum = (parts: readonly Values[]): number[] => Array.from(parts[0]!, (_, c) => parts.reduce((total, part) => total + part[c]!, 0));

function closeAll(actual: Values, wanted: readonly number[], tolerance: number, what: string): void {
  wanted.forEach((value, c) => {
    expect(actual[c], `${what}[${c}]`).to.be.closeTo(value, tolerance * Math.max(1, Math.abs(value)));
  });
}

/** Of parts that differ by a sample at most. */
function cuts(samples: number, virtualBatchSize: number): number[] {
  const parts = Math.ceil(samples / virtualBatchSize);
  return Array.from({ length: parts + 1 }, (_, i) => Math.floor((i * samples) / parts));
}

describe('ghost batches', () => {
  it('are the layer called with one part after the other: any shape, axis, dtype, activation, residual, momentum', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 17 }),
        fc.integer({ min: 2, max: 9 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        fc.constantFrom('float32' as const, 'float64' as const, 'float16' as const),
        fc.constantFrom(...ACTIVATIONS),
        fc.boolean(),
        fc.constantFrom(null, 0.1, 0.3),
        fc.boolean(),
        (samples, virtualBatchSize, rest, anyAxis, dtype, activation, withResidual, momentum, renormalized) => {
          const axis = 1 + (anyAxis % rest.length);
          const shape = [samples, ...rest];
          const channels = shape[axis]!;
          const ofSample = rest.reduce((a, b) => a * b, 1);
          const bounds = cuts(samples, virtualBatchSize);
          fc.pre(bounds.slice(1).every((end, i) => ((end - bounds[i]!) * ofSample) / channels > 1));
          const x = normals(samples * ofSample, 3, 2);
          const residual = withResidual ? normals(x.length, 4) : null;
          const dy = normals(x.length, 5);
          const renorm = renormalized ? { rMax: 2, dMax: 1 } : null;
          const parameters = dtype === 'float64' ? 'float64' : 'float32';
          const [divided, plain] = layersOf(channels, { axis, activation, momentum, virtualBatchSize, renorm, dtype: parameters });
          const ours = pass(divided!, shape, dtype, x, residual, dy);
          // A part is read where it lies in the whole: on a GPU the order of sums, and so the last bit, depends on the alignment.
          using whole = tensorOf(x, shape, dtype);
          const bytes = whole.byteLength / x.length;
          const parts = bounds.slice(1).map((end, i) => {
            const begin = bounds[i]! * ofSample;
            const of = (values: Float64Array) => values.subarray(begin, end * ofSample);
            const pointer = whole.pointer + BigInt(begin * bytes);
            using input = Tensor.fromPointer(pointer, [end - bounds[i]!, ...rest], { dtype, device });
            return passOn(plain!, input, residual && of(residual), of(dy));
          });
          expect(Array.from(ours.y), 'output').to.deep.equal(joined(parts.map(({ y }) => y)));
          expect(Array.from(ours.dx), 'gradient of the input').to.deep.equal(joined(parts.map(({ dx }) => dx)));
          if (withResidual) expect(Array.from(ours.dResidual!)).to.deep.equal(joined(parts.map(({ dResidual }) => dResidual!)));
          const tolerance = parameters === 'float64' ? 1e-13 : 1e-5;
          closeAll(ours.dWeight, sum(parts.map(({ dWeight }) => dWeight)), tolerance, 'gradient of the weight');
          closeAll(ours.dBias, sum(parts.map(({ dBias }) => dBias)), tolerance, 'gradient of the bias');
          expect(divided!.runningMean!.readSync()).to.deep.equal(plain!.runningMean!.readSync());
          expect(divided!.runningVar!.readSync()).to.deep.equal(plain!.runningVar!.readSync());
          expect(divided!.numBatchesTracked).to.equal(plain!.numBatchesTracked).and.equal(parts.length);
          divided!.dispose();
          plain!.dispose();
        },
      ),
      { numRuns: affordable(150, 40), seed: 1 },
    );
  });

  it('have the gradients of their own forward pass', () => {
    const shape = [5, 2, 2];
    const x = normals(20, 1, 0.5, 1.5);
    const dy = normals(20, 2);
    const options = { dtype: 'float64', eps: 0.1, activation: 'gelu', virtualBatchSize: 2 } as const;
    const loss = (values: Float64Array): number => {
      const [layer] = layersOf(2, options);
      using input = Tensor.from(values, shape, { dtype: 'float64', device });
      using output = layer!.forward(input, { saveForBackward: false });
      layer!.dispose();
      return Array.from(output.readSync()).reduce((total, y, i) => total + y * dy[i]!, 0);
    };
    const [layer] = layersOf(2, options);
    const { dx } = pass(layer!, shape, 'float64', x, null, dy);
    layer!.dispose();
    for (let i = 0; i < x.length; ++i) {
      const moved = (by: number) => loss(x.map((v, j) => (i === j ? v + by : v)));
      const numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      expect(dx[i], `x[${i}]`).to.be.closeTo(numeric, 2e-8 * Math.max(1, Math.abs(numeric)));
    }
  });

  it('are plain batch norm, bit for bit, where the batch is no larger than one', () => {
    const x = normals(60, 1);
    const dy = normals(60, 2);
    for (const virtualBatchSize of [5, 6, 1000]) {
      const [divided, plain] = layersOf(3, { virtualBatchSize, activation: 'relu' });
      expect(pass(divided!, [5, 3, 4], 'float32', x, dy, dy)).to.deep.equal(pass(plain!, [5, 3, 4], 'float32', x, dy, dy));
      expect(divided!.numBatchesTracked).to.equal(1);
      divided!.dispose();
      plain!.dispose();
    }
  });

  it('have an axis that counts from the end', () => {
    const [fromEnd, fromBegin] = [-1, 2].map((axis) => layersOf(3, { virtualBatchSize: 2, axis })[0]!);
    const x = normals(60, 1);
    expect(pass(fromEnd!, [4, 5, 3], 'float32', x, null, x)).to.deep.equal(pass(fromBegin!, [4, 5, 3], 'float32', x, null, x));
    fromEnd!.dispose();
    fromBegin!.dispose();
  });

  it('go in place', () => {
    const x = normals(60, 1);
    const dy = normals(60, 2);
    const [divided, plain] = layersOf(3, { virtualBatchSize: 2, inPlace: true, dtype: 'float64', activation: 'leakyRelu' });
    const [apart] = layersOf(3, { virtualBatchSize: 2, dtype: 'float64', activation: 'leakyRelu' });
    const ours = pass(divided!, [5, 3, 4], 'float64', x, null, dy);
    const wanted = pass(apart!, [5, 3, 4], 'float64', x, null, dy);
    expect(ours.y).to.deep.equal(wanted.y);
    closeAll(ours.dx, Array.from(wanted.dx), 1e-12, 'gradient of the input');
    closeAll(ours.dWeight, Array.from(wanted.dWeight), 1e-12, 'gradient of the weight');
    for (const layer of [divided!, plain!, apart!]) layer.dispose();
  });

  it('are one batch in eval mode, and backward of it', () => {
    const x = normals(60, 1);
    const [divided, plain] = layersOf(3, { virtualBatchSize: 2, activation: 'relu' });
    using input = Tensor.from(x, [5, 3, 4], { device });
    const results = [divided!, plain!].map((layer) => {
      const output = take(layer.eval().forward(input, { saveForBackward: true, residual: input }));
      const gradients = layer.backward(input);
      return [output, ...[gradients.input, gradients.weight!, gradients.bias!, gradients.residual!].map(take)];
    });
    expect(results[0]).to.deep.equal(results[1]);
    divided!.dispose();
    plain!.dispose();
  });

  it('divide what the batch’s own statistics normalize in eval mode too', () => {
    const x = normals(60, 1);
    const [divided] = layersOf(3, { virtualBatchSize: 2, trackRunningStats: false });
    using input = Tensor.from(x, [5, 3, 4], { device });
    const inTraining = take(divided!.forward(input));
    expect(take(divided!.eval().forward(input))).to.deep.equal(inTraining);
    divided!.dispose();
  });

  it('may be of an empty batch', () => {
    const [layer] = layersOf(3, { virtualBatchSize: 2 });
    using input = Tensor.empty([0, 3, 4], { device });
    using output = layer!.forward(input);
    expect(output.shape).to.deep.equal([0, 3, 4]);
    const gradients = layer!.backward(output);
    expect(Array.from(take(gradients.weight!))).to.deep.equal([0, 0, 0]);
    gradients.input.dispose();
    gradients.bias!.dispose();
    expect(layer!.numBatchesTracked).to.equal(0);
    layer!.dispose();
  });

  it('are in the functional form too', () => {
    const x = normals(60, 1);
    const dy = normals(60, 2);
    const [layer] = layersOf(3, { virtualBatchSize: 2, activation: 'relu' });
    const wanted = pass(layer!, [5, 3, 4], 'float32', x, dy, dy);
    using input = Tensor.from(x, [5, 3, 4], { dtype: 'float32', device });
    using gradOutput = Tensor.from(dy, [5, 3, 4], { dtype: 'float32', device });
    const common = { weight: layer!.weight, bias: layer!.bias, activation: 'relu', virtualBatchSize: 2 } as const;
    const { output, statistics, mask } = batchNormTraining(input, { ...common, residual: gradOutput });
    expect(take(output)).to.deep.equal(wanted.y);
    expect(statistics.shape).to.deep.equal([3, 3, 3]);
    const gradients = batchNormBackward(gradOutput, input, { ...common, statistics, mask });
    expect(take(gradients.input)).to.deep.equal(wanted.dx);
    expect(take(gradients.weight!)).to.deep.equal(wanted.dWeight);
    gradients.bias!.dispose();
    gradients.residual!.dispose();
    expectError(() => batchNormBackward(gradOutput, input, { ...common, statistics, mask, virtualBatchSize: 3 }), 'ERR_SHAPE', 'a mask of');
    expectError(
      () => batchNormBackward(gradOutput, input, { ...common, residual: input, statistics, virtualBatchSize: 3 }),
      'ERR_SHAPE',
      '[2, 3, 3]',
    );
    const constant = { mean: layer!.runningMean, variance: layer!.runningVar, virtualBatchSize: 2 };
    expectError(() => batchNormBackward(gradOutput, input, constant), 'ERR_INVALID_ARGUMENT', 'options.virtualBatchSize', '2');
    statistics.dispose();
    mask?.dispose();
    layer!.dispose();
  });

  it('say what they take', () => {
    for (const virtualBatchSize of [0, -1, 1.5, Number.NaN, '2' as unknown as number]) {
      expectError(
        () => new BatchNorm(3, { device, virtualBatchSize }),
        'ERR_INVALID_ARGUMENT',
        'a positive integer',
        'options.virtualBatchSize',
      );
    }
    using layer = new BatchNorm(3, { device, virtualBatchSize: 1 });
    expect(`${layer}`).to.include('virtualBatchSize: 1');
    using flat = Tensor.zeros([4, 3], { device });
    expectError(() => layer.forward(flat), 'ERR_SHAPE', 'more than 1 value per channel', '[ 4, 3 ]', '4 virtual batches');
    using pairs = new BatchNorm(3, { device, virtualBatchSize: 2 });
    using three = Tensor.zeros([3, 3], { device }); // parts of 1 and 2
    expectError(() => pairs.forward(three), 'ERR_SHAPE', 'more than 1 value per channel', '2 virtual batches');
    using first = new BatchNorm(3, { device, virtualBatchSize: 2, axis: 0 });
    using channelsFirst = Tensor.zeros([3, 4], { device });
    expectError(() => first.forward(channelsFirst), 'ERR_SHAPE', 'virtualBatchSize', 'axis 0');
    first.eval().forward(channelsFirst).dispose(); // where nothing is divided
  });
});
