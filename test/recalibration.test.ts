/** Recalibration against the statistics of all batches as one. */

import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, type BatchNormOptions, Tensor } from '../lib/index';
import { batchStatistics, viewOf } from '../lib/validation/oracle';
import { affordable, device } from './helpers/device';
import { expectError, expectRejection } from './helpers/failure';
import { normals } from './helpers/random';

const C = 3;

function batchesOf(sizes: readonly number[], mean: number, dtype: 'float32' | 'float64' | 'float16') {
  const tensors = sizes.map((size, i) => Tensor.from(normals(size * C * 2, 7 + i, mean * (i + 1)), [size, C, 2], { dtype, device }));
  const all = Float64Array.from(tensors.flatMap((tensor) => Array.from(tensor.readSync())));
  return { tensors, statistics: batchStatistics(all, viewOf([all.length / C / 2, C, 2])), count: all.length / C };
}

function closeAll(tensor: Tensor, wanted: ArrayLike<number>, tolerance: (c: number) => number): void {
  for (const [c, value] of tensor.readSync().entries()) expect(value, `[${c}]`).to.be.closeTo(wanted[c]!, tolerance(c));
}

describe('recalibration', () => {
  it('gives mean and variance of all batches as if they were one, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 6 }),
        fc.constantFrom('float32' as const, 'float64' as const, 'float16' as const),
        fc.constantFrom(0, 3, 100),
        fc.constantFrom('unbiased' as const, 'biased' as const),
        async (sizes, dtype, mean, runningVariance) => {
          fc.pre(sizes.some((size) => size > 0));
          const { tensors, statistics, count } = batchesOf(sizes, mean, dtype);
          const parameters = dtype === 'float64' ? 'float64' : 'float32';
          using layer = new BatchNorm(C, { dtype: parameters, runningVariance, device, momentum: null, activation: 'relu' });
          await layer.recalibrate(tensors);
          const tolerance = parameters === 'float64' ? 1e-12 : 1e-6;
          const factor = runningVariance === 'unbiased' ? count / (count - 1) : 1;
          const variance = Array.from(statistics.variance, (v) => v * factor);
          // What is measured of a mean is off by a part of the deviation; then it is stored.
          const ofMean = (c: number) => tolerance * (Math.abs(statistics.mean[c]!) + Math.sqrt(variance[c]!));
          closeAll(layer.runningMean!, Array.from(statistics.mean), ofMean);
          closeAll(layer.runningVar!, variance, (c) => tolerance * variance[c]!);
          expect(layer.numBatchesTracked).to.equal(sizes.filter((size) => size > 0).length);
          expect(
            tensors.some(({ disposed }) => disposed),
            'the batches remain the caller’s',
          ).to.equal(false);
          for (const tensor of tensors) tensor.dispose();
        },
      ),
      { numRuns: affordable(60, 15), seed: 1 },
    );
  });

  it('counts the spread between batches, which averages of their variances leave out', async () => {
    const { tensors, statistics } = batchesOf([8, 8, 8], 10, 'float64');
    using layer = new BatchNorm(C, { dtype: 'float64', device, momentum: null });
    for (const tensor of tensors) layer.forward(tensor).dispose();
    const averaged = layer.runningVar!.readSync();
    await layer.recalibrate(tensors);
    const exact = layer.runningVar!.readSync();
    for (let c = 0; c < C; ++c) {
      expect(averaged[c]).to.be.lessThan(2);
      expect(exact[c]).to.be.greaterThan(50);
      expect(exact[c]).to.be.closeTo((statistics.variance[c]! * 48) / 47, 1e-9);
    }
    for (const tensor of tensors) tensor.dispose();
  });

  it('takes batches one at a time, from an asynchronous generator too, and single values', async () => {
    using layer = new BatchNorm(2, {
      device,
      dtype: 'float64',
      axis: -1,
      virtualBatchSize: 2,
      inPlace: true,
      renorm: { rMax: 2, dMax: 1 },
    });
    let waiting = 0;
    async function* values() {
      for (const value of [1, 2, 6]) {
        expect(++waiting).to.equal(1);
        using batch = Tensor.from([value, -value], [1, 2], { dtype: 'float64', device });
        yield batch;
        expect(Array.from(batch.readSync()), 'not written to').to.deep.equal([value, -value]);
        --waiting;
      }
    }
    await layer.recalibrate(values());
    expect(Array.from(layer.runningMean!.readSync())).to.deep.equal([3, -3]);
    expect(Array.from(layer.runningVar!.readSync())).to.deep.equal([7, 7]);
    expect(layer.numBatchesTracked).to.equal(3);
  });

  it('leaves mode, parameters and the saved pass alone', async () => {
    using layer = new BatchNorm(C, { device });
    layer.weight!.write(normals(C, 2));
    layer.bias!.write(normals(C, 3));
    const { weight, bias } = await layer.stateDict();
    using input = Tensor.from(normals(C * 8, 1), [8, C], { device });
    const gradients = () => {
      const { input: dx, weight: dWeight, bias: dBias } = layer.backward(input);
      return [dx, dWeight!, dBias!].map((tensor) => {
        using owned = tensor;
        return owned.readSync();
      });
    };
    layer.forward(input).dispose();
    const wanted = gradients();
    layer.forward(input).dispose();
    await layer.recalibrate([input]);
    expect(layer.training).to.equal(true);
    expect(gradients()).to.deep.equal(wanted);
    expect(await layer.stateDict()).to.deep.include({ weight, bias });
    expect(layer.eval().training).to.equal(false);
    await layer.recalibrate(new Set([input]));
    expect(layer.training).to.equal(false);
  });

  it('has backward refuse a pass that was given the old running statistics', async () => {
    using layer = new BatchNorm(C, { device }).eval();
    using input = Tensor.from(normals(C * 8, 1), [8, C], { device });
    using output = layer.forward(input, { saveForBackward: true });
    await layer.recalibrate([input]);
    expectError(() => layer.backward(output), 'ERR_STATE', 'changed');
  });

  it('takes ghost batches together', async () => {
    using layer = new BatchNorm(C, { device, dtype: 'float64', virtualBatchSize: 2 });
    using plain = new BatchNorm(C, { device, dtype: 'float64' });
    using input = Tensor.from(normals(C * 8, 1), [8, C], { dtype: 'float64', device });
    await layer.recalibrate([input]);
    await plain.recalibrate([input]);
    expect(await layer.stateDict()).to.deep.equal(await plain.stateDict());
  });

  it('knows means between two floats', async () => {
    const values = [1e6, 1e6, 1e6, 1e6 + 0.0625, 1e6, 1e6 + 0.0625, 1e6 + 0.0625, 1e6 + 0.0625];
    const batches = [values.slice(0, 4), values.slice(4)].map((half) => Tensor.from(half, [4, 1], { device }));
    using layer = new BatchNorm(1, { device, runningVariance: 'biased' });
    await layer.recalibrate(batches);
    expect(layer.runningVar!.readSync()[0]).to.be.closeTo(0.03125 ** 2, 1e-8);
    for (const batch of batches) batch.dispose();
  });

  it('replaces both statistics or none, where one of them was disposed alone', async () => {
    using layer = new BatchNorm(C, { device });
    using input = Tensor.from(normals(C * 8, 1), [8, C], { device });
    await layer.recalibrate([input]);
    const before = layer.runningMean!.readSync();
    const lateBatches = async function* () {
      yield input;
      layer.runningVar!.dispose();
    };
    await expectRejection(layer.recalibrate(lateBatches()), 'ERR_DISPOSED', 'runningVar');
    await expectRejection(layer.recalibrate([input]), 'ERR_DISPOSED', 'runningVar');
    expectError(() => layer.resetRunningStats(), 'ERR_DISPOSED', 'runningVar');
    expect(layer.runningMean!.readSync()).to.deep.equal(before);
    expect(layer.numBatchesTracked).to.equal(1);
  });

  it('measures behind the work of the stream it is given', async () => {
    using layer = new BatchNorm(C, { device, dtype: 'float64' });
    using busy = new BatchNorm(C, { device, dtype: 'float64', affine: false }).eval();
    using wanted = new BatchNorm(C, { device, dtype: 'float64' });
    const stream = device.createStream();
    const size = affordable(2 ** 16, 2 ** 10);
    using input = Tensor.from(normals(C * size, 1), [size, C], { dtype: 'float64', device });
    busy.runningVar!.write([1, 4, 9]);
    using scaled = busy.forward(input);
    await wanted.recalibrate([scaled]);
    await device.synchronize();
    using batch = Tensor.zeros([size, C], { dtype: 'float64', device });
    await device.synchronize();
    for (let i = 0; i < 8; ++i) busy.forward(input, { out: batch, stream });
    await layer.recalibrate([batch], { stream });
    expect(layer.runningVar!.readSync()).to.deep.equal(wanted.runningVar!.readSync());
  });

  it('leaves no memory behind, also where it fails', async () => {
    const layer = new BatchNorm(C, { device });
    using input = Tensor.from(normals(C * 8, 1), [8, C], { device });
    using wrong = Tensor.zeros([8, C + 1], { device });
    await layer.recalibrate([input]);
    const { live } = device.memory();
    await layer.recalibrate([input, input]);
    await expectRejection(layer.recalibrate([input, wrong]), 'ERR_SHAPE');
    expect(device.memory().live).to.equal(live);
    layer.dispose();
  });

  it('changes nothing where it fails, and says why', async () => {
    using layer = new BatchNorm(C, { device });
    using input = Tensor.from(normals(C * 8, 1), [8, C], { device });
    layer.forward(input).dispose();
    const before = await layer.stateDict();
    using wrong = Tensor.zeros([8, C + 1], { device });
    using single = Tensor.zeros([1, C], { device });
    using empty = Tensor.zeros([0, C], { device });
    type Batches = Iterable<Tensor>;
    await expectRejection(layer.recalibrate([input, wrong]), 'ERR_SHAPE', '3 channels at axis 1', 'batches');
    await expectRejection(layer.recalibrate([]), 'ERR_INVALID_ARGUMENT', 'at least one batch');
    await expectRejection(layer.recalibrate([empty]), 'ERR_INVALID_ARGUMENT', 'at least one batch');
    await expectRejection(layer.recalibrate([single]), 'ERR_SHAPE', 'more than 1 value per channel');
    await expectRejection(layer.recalibrate(input as unknown as Batches), 'ERR_INVALID_ARGUMENT', 'such as [tensor]');
    await expectRejection(layer.recalibrate(null as unknown as Batches), 'ERR_INVALID_ARGUMENT', 'batches', 'null');
    await expectRejection(layer.recalibrate(['a'] as unknown as Batches), 'ERR_INVALID_ARGUMENT', 'a Tensor', 'batches');
    await expectRejection(layer.recalibrate([input], { steam: 1 } as object), 'ERR_INVALID_ARGUMENT', `'stream'`);
    let failure: unknown;
    await layer
      .recalibrate(
        (function* () {
          yield input;
          throw new RangeError('no more');
        })(),
      )
      .catch((error: unknown) => {
        failure = error;
      });
    expect(failure, 'what the caller throws').to.be.instanceOf(RangeError);
    expect(await layer.stateDict()).to.deep.equal(before);

    using untracked = new BatchNorm(C, { device, trackRunningStats: false });
    await expectRejection(untracked.recalibrate([input]), 'ERR_STATE', 'trackRunningStats');
    let asked = false;
    const watched = (function* () {
      asked = true;
      yield input;
    })();
    await expectRejection(layer.recalibrate(watched, { stream: 3 } as object), 'ERR_INVALID_ARGUMENT', 'options.stream');
    expect(asked, 'for a batch').to.equal(false);
    const gone = new BatchNorm(C, { device } satisfies BatchNormOptions);
    const underWay = gone.recalibrate([input]);
    gone.dispose();
    await expectRejection(underWay, 'ERR_DISPOSED', 'a BatchNorm that is not disposed');
    const goneLate = new BatchNorm(C, { device });
    const last = async function* () {
      yield input;
      goneLate.dispose();
    };
    await expectRejection(goneLate.recalibrate(last()), 'ERR_DISPOSED', 'a BatchNorm that is not disposed');
    const goneBetween = new BatchNorm(C, { device });
    let given = 0;
    const batches = function* () {
      while (++given < 5) {
        if (given === 2) goneBetween.dispose();
        yield input;
      }
    };
    await expectRejection(goneBetween.recalibrate(batches()), 'ERR_DISPOSED');
    expect(given, 'no batch is asked for in vain').to.equal(2);
    await expectRejection(gone.recalibrate([input]), 'ERR_DISPOSED');
    expectError(() => gone.forward(input), 'ERR_DISPOSED');
  });
});
