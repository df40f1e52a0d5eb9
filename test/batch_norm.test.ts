import { inspect } from 'node:util';
import { expect } from 'chai';
import { BatchNorm, type BatchNormOptions, type ForwardOptions, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { secondDevice } from './helpers/second_device';

const VALUES = [1, 5, -2, 0, 3, 3, 7, -4, 2, 2, 0, 1];
const SHAPE = [3, 2, 2];

const layerOf = (options?: BatchNormOptions) => new BatchNorm(2, { device, ...options });
const input = (values = VALUES) => Tensor.from(values, SHAPE, { device });
const ones = () => Tensor.full(SHAPE, 1, { device });
const valuesOf = (tensor: Tensor | null | undefined) => [...tensor!.readSync()];

describe('BatchNorm', () => {
  describe('as made', () => {
    it('has the documented defaults', () => {
      const layer = layerOf();
      expect(layer).to.include({
        numFeatures: 2,
        eps: 1e-5,
        momentum: 0.1,
        axis: 1,
        activation: 'identity',
        dtype: 'float32',
        runningVariance: 'unbiased',
      });
      expect(layer).to.include({ training: true, disposed: false, numBatchesTracked: 0 });
      expect(layer.device).to.equal(device);
      expect(valuesOf(layer.weight)).to.deep.equal([1, 1]);
      expect(valuesOf(layer.bias)).to.deep.equal([0, 0]);
      expect(valuesOf(layer.runningMean)).to.deep.equal([0, 0]);
      expect(valuesOf(layer.runningVar)).to.deep.equal([1, 1]);
    });

    it('has the parts that its options ask for', () => {
      const parts = (options: BatchNormOptions) => {
        const { weight, bias, runningMean, runningVar } = layerOf(options);
        return [weight, bias, runningMean, runningVar].map((tensor) => tensor?.dtype ?? null);
      };
      expect(parts({ affine: 'weight' })).to.deep.equal(['float32', null, 'float32', 'float32']);
      expect(parts({ affine: 'bias' })).to.deep.equal([null, 'float32', 'float32', 'float32']);
      expect(parts({ affine: false, trackRunningStats: false })).to.deep.equal([null, null, null, null]);
      expect(parts({ dtype: 'float64' })).to.deep.equal(['float64', 'float64', 'float64', 'float64']);
    });

    it('prints itself', () => {
      const layer = layerOf({ affine: 'bias', activation: 'relu', momentum: null });
      expect(inspect(layer)).to.equal(
        `BatchNorm(2, { eps: 0.00001, momentum: null, affine: 'bias', trackRunningStats: true, axis: 1, activation: 'relu', dtype: 'float32' }) on ${device.name}, training`,
      );
      expect(`${layer.eval()}`).to.match(/eval$/);
      layer.dispose();
      expect(`${layer}`).to.match(/disposed$/);
    });

    it('refuses wrong arguments', () => {
      for (const numFeatures of [0, -1, 1.5, Number.NaN, '2', null, undefined, [2]]) {
        expectError(() => new BatchNorm(numFeatures as never, { device }), 'ERR_INVALID_ARGUMENT', 'numFeatures');
      }
      expectError(() => new BatchNorm(2 ** 53 - 1, { device }), 'ERR_SHAPE');
      expectError(() => new BatchNorm(2 ** 50, { device }), 'ERR_OUT_OF_MEMORY');
      const wrong: Record<string, unknown[]> = {
        eps: [-1e-5, Number.NaN, Number.POSITIVE_INFINITY, '1e-5', null],
        momentum: [Number.NaN, Number.NEGATIVE_INFINITY, '0.1', true],
        affine: ['both', 'Weight', 0, null],
        trackRunningStats: [0, 'yes', null],
        runningVariance: ['Biased', true, null],
        axis: [1.5, Number.NaN, '1', null],
        activation: ['ReLU', 'swish', 0, null],
        device: ['gpu', 0, {}, null],
        backend: ['cpu', true, null],
      };
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values) expectError(() => layerOf({ [name]: value } as never), 'ERR_INVALID_ARGUMENT', `options.${name}`);
      }
      for (const dtype of ['float16', 'bfloat16', 'double', null])
        expectError(() => layerOf({ dtype: dtype as never }), 'ERR_DTYPE', 'options.dtype');
      for (const options of [null, 1, 'eps', []]) expectError(() => new BatchNorm(2, options as never), 'ERR_INVALID_ARGUMENT', 'options');
    });
  });

  describe('forward', () => {
    it('gives a new tensor of the input kind, and leaves the input alone', () => {
      const layer = new BatchNorm(2, { device });
      for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as const) {
        const x = Tensor.from(VALUES, SHAPE, { device, dtype });
        const y = layer.forward(x);
        expect(y).to.include({ dtype, size: 12 });
        expect(y.shape).to.deep.equal(SHAPE);
        expect(valuesOf(x)).to.deep.equal(VALUES);
      }
    });

    it('writes into out, which may be the input where nothing is saved', () => {
      const layer = layerOf();
      const expected = valuesOf(layer.forward(input()));
      const out = ones();
      expect(layer.forward(input(), { out })).to.equal(out);
      expect(valuesOf(out)).to.deep.equal(expected);
      const x = input();
      expectError(() => layer.forward(x, { out: x }), 'ERR_INVALID_ARGUMENT', 'options.out', 'saveForBackward: false');
      expect(valuesOf(x)).to.deep.equal(VALUES);
      expect(layer.forward(x, { out: x, saveForBackward: false })).to.equal(x);
      expect(valuesOf(x)).to.deep.equal(expected);
      const y = input();
      layer.eval();
      expect(layer.forward(y, { out: y })).to.equal(y);
      expectError(() => layer.forward(y, { out: y, saveForBackward: true }), 'ERR_INVALID_ARGUMENT', 'saveForBackward: false');
      expectError(() => layer.forward(input(), { out: y, residual: y }), 'ERR_INVALID_ARGUMENT', 'residual', 'options.out');
    });

    it('counts training passes, and no others', () => {
      const layer = layerOf();
      layer.forward(input());
      layer.forward(input(), { saveForBackward: false });
      expect(layer.numBatchesTracked).to.equal(2);
      expect(layer.eval().forward(input())).to.be.instanceOf(Tensor);
      expectError(() => layer.train().forward(Tensor.zeros([1, 2], { device })), 'ERR_SHAPE');
      layer.forward(Tensor.zeros([0, 2, 5], { device }));
      expect(layer.numBatchesTracked).to.equal(2);
      const untracked = layerOf({ trackRunningStats: false });
      untracked.forward(input());
      expect(untracked.numBatchesTracked).to.equal(0);
    });

    it('changes modes', () => {
      const layer = layerOf();
      expect(layer.eval()).to.equal(layer);
      expect(layer.training).to.equal(false);
      expect(layer.train().training).to.equal(true);
      expect(layer.train(false).training).to.equal(false);
      for (const mode of [0, 'true', null]) expectError(() => layer.train(mode as never), 'ERR_INVALID_ARGUMENT', 'mode');
      expect(layer.training).to.equal(false);
    });

    it('refuses one value per channel where the batch gives the statistics', () => {
      const words = 'Expected more than 1 value per channel';
      const single = Tensor.zeros([1, 2, 1], { device });
      expectError(() => layerOf().forward(single), 'ERR_SHAPE', words, '[ 1, 2, 1 ]');
      expectError(() => layerOf({ trackRunningStats: false }).eval().forward(single), 'ERR_SHAPE', words);
      expect(valuesOf(layerOf().eval().forward(single))).to.deep.equal([0, 0]);
    });

    it('takes an empty batch: nothing comes out and nothing is learned', () => {
      const layer = layerOf();
      const y = layer.forward(Tensor.zeros([0, 2, 3], { device }));
      expect(y.shape).to.deep.equal([0, 2, 3]);
      const gradients = layer.backward(Tensor.zeros([0, 2, 3], { device }));
      expect(gradients.input.size).to.equal(0);
      expect(valuesOf(gradients.weight)).to.deep.equal([0, 0]);
      expect(valuesOf(gradients.bias)).to.deep.equal([0, 0]);
      expect(valuesOf(layer.runningMean)).to.deep.equal([0, 0]);
      expect(valuesOf(layer.runningVar)).to.deep.equal([1, 1]);
      layer.forward(Tensor.zeros([3, 2, 0], { device }));
      layer.eval().forward(Tensor.zeros([0, 2], { device }));
    });

    it('refuses inputs that do not fit', () => {
      const layer = layerOf();
      for (const x of [undefined, null, 1, 'x', [1, 2], new Float32Array(4), {}, Object.create(Tensor.prototype), new Proxy(input(), {})]) {
        expectError(() => layer.forward(x as never), 'ERR_INVALID_ARGUMENT', 'a Tensor for input');
      }
      expectError(() => layer.forward(Tensor.zeros([2], { device })), 'ERR_SHAPE', 'rank 2 or more', 'input', '[2]');
      expectError(() => layer.forward(Tensor.zeros([], { device })), 'ERR_SHAPE', 'rank 2 or more');
      expectError(() => layer.forward(Tensor.zeros([2, 3], { device })), 'ERR_SHAPE', '2 channels at axis 1', '[2, 3]');
      expectError(() => layer.forward(Tensor.zeros([2, 0], { device })), 'ERR_SHAPE', 'at least one channel');
      for (const axis of [2, 7, -3])
        expectError(() => layerOf({ axis }).forward(Tensor.zeros([2, 2], { device })), 'ERR_SHAPE', 'options.axis', String(axis));
      const double = layerOf({ dtype: 'float64' });
      for (const dtype of ['float16', 'bfloat16'] as const) {
        expectError(() => double.forward(Tensor.zeros([2, 2], { device, dtype })), 'ERR_DTYPE', 'float64', 'input');
      }
      const gone = input();
      gone.dispose();
      expectError(() => layer.forward(gone), 'ERR_DISPOSED', 'input');
      expectError(() => layer.forward(Tensor.zeros(SHAPE, { device: secondDevice() })), 'ERR_DEVICE_MISMATCH', 'input');
    });

    it('refuses options that do not fit, before anything is touched', () => {
      const layer = layerOf();
      const gone = ones();
      gone.dispose();
      const elsewhere = secondDevice();
      const refuse = (options: unknown, code: Parameters<typeof expectError>[1], ...words: string[]) =>
        expectError(() => layer.forward(input(), options as ForwardOptions), code, ...words);
      for (const name of ['residual', 'out']) {
        refuse({ [name]: 1 }, 'ERR_INVALID_ARGUMENT', `options.${name}`);
        refuse({ [name]: gone }, 'ERR_DISPOSED', `options.${name}`);
        refuse({ [name]: Tensor.zeros([3, 2], { device }) }, 'ERR_SHAPE', `options.${name}`, '[3, 2, 2]', '[3, 2]');
        refuse({ [name]: Tensor.zeros([2, 3, 2], { device }) }, 'ERR_SHAPE', `options.${name}`);
        refuse({ [name]: Tensor.zeros(SHAPE, { device, dtype: 'float16' }) }, 'ERR_DTYPE', `options.${name}`, 'float32', 'float16');
        refuse({ [name]: Tensor.zeros(SHAPE, { device: elsewhere }) }, 'ERR_DEVICE_MISMATCH', `options.${name}`);
      }
      refuse({ stream: elsewhere.createStream() }, 'ERR_DEVICE_MISMATCH', 'options.stream');
      refuse({ stream: 0 }, 'ERR_INVALID_ARGUMENT', 'options.stream');
      refuse({ saveForBackward: 1 }, 'ERR_INVALID_ARGUMENT', 'options.saveForBackward');
      refuse({ save: true }, 'ERR_INVALID_ARGUMENT', "'saveForBackward'");
      refuse([], 'ERR_INVALID_ARGUMENT', 'options');
      expect(layer.numBatchesTracked).to.equal(0);
      expect(valuesOf(layer.runningMean)).to.deep.equal([0, 0]);
      expectError(() => layer.backward(ones()), 'ERR_STATE');
    });
  });

  describe('backward', () => {
    it('gives the gradients of what there is', () => {
      const keys = (options: BatchNormOptions, forward?: ForwardOptions) => {
        const layer = layerOf(options);
        layer.forward(input(), forward);
        const { input: dx, weight, bias, residual } = layer.backward(ones());
        return [dx, weight, bias, residual].map((tensor) => tensor?.shape ?? tensor);
      };
      expect(keys({})).to.deep.equal([SHAPE, [2], [2], undefined]);
      expect(keys({ affine: 'weight' })).to.deep.equal([SHAPE, [2], null, undefined]);
      expect(keys({ affine: 'bias' })).to.deep.equal([SHAPE, null, [2], undefined]);
      expect(keys({ affine: false }, { residual: ones() })).to.deep.equal([SHAPE, null, null, SHAPE]);
    });

    it('uses the pass up', () => {
      const layer = layerOf();
      expectError(() => layer.backward(ones()), 'ERR_STATE', 'saveForBackward: true');
      layer.forward(input());
      layer.backward(ones());
      expectError(() => layer.backward(ones()), 'ERR_STATE', 'each backward uses up one forward pass');
    });

    it('belongs to the last forward pass, which must have been saved', () => {
      const layer = layerOf();
      layer.forward(input());
      layer.eval().forward(input());
      expectError(() => layer.backward(ones()), 'ERR_STATE', 'saveForBackward: true');
      layer.train().forward(input(), { saveForBackward: false });
      expectError(() => layer.backward(ones()), 'ERR_STATE');
      layer.eval().forward(input(), { saveForBackward: true });
      layer.train();
      expect(valuesOf(layer.backward(ones()).bias)).to.deep.equal([6, 6]);
    });

    it('does not care that the input, the residual and the output are disposed', () => {
      for (const activation of ['identity', 'relu', 'silu'] as const) {
        const gradients = (dispose: boolean) => {
          const layer = layerOf({ activation });
          const [x, residual] = [input(), input(VALUES.toReversed())];
          const y = layer.forward(x, { residual });
          if (dispose) for (const tensor of [x, residual, y]) tensor.dispose();
          for (let i = 0; i < 8; ++i) Tensor.full(SHAPE, 1e9, { device }); // takes the memory, were it free
          const { input: dx, residual: dr } = layer.backward(input([...VALUES].sort()));
          return [valuesOf(dx), valuesOf(dr)];
        };
        expect(gradients(true)).to.deep.equal(gradients(false));
      }
    });

    it('notices that what it needs was changed since', () => {
      const changes: [string, (layer: BatchNorm, x: Tensor, residual: Tensor) => void][] = [
        ['input', (_, x) => x.write(VALUES)],
        ['input', (_, x) => new BatchNorm(2, { device }).eval().forward(ones(), { out: x })],
        ['residual', (_, __, residual) => residual.write(VALUES)],
        ['weight', (layer) => layer.weight!.write([2, 2])],
        ['bias', (layer) => layer.bias!.write([2, 2])],
      ];
      for (const [name, change] of changes) {
        const layer = layerOf({ activation: 'silu' });
        const [x, residual] = [input(), ones()];
        layer.forward(x, { residual });
        change(layer, x, residual);
        expectError(() => layer.backward(ones()), 'ERR_STATE', `Expected ${name} as it was`);
      }
      const layer = layerOf();
      layer.eval().forward(input(), { saveForBackward: true });
      layer.runningVar!.write([4, 4]);
      expectError(() => layer.backward(ones()), 'ERR_STATE', 'variance');
    });

    it('does not mind changes of what it does not need', () => {
      const layer = layerOf({ activation: 'relu' });
      const residual = ones();
      const y = layer.forward(input(), { residual });
      residual.write(VALUES);
      y.write(VALUES);
      layer.runningMean!.write([5, 5]);
      layer.backward(ones());
    });

    it('refuses gradients that do not fit, and keeps the pass', () => {
      const layer = layerOf();
      layer.forward(input());
      const gone = ones();
      gone.dispose();
      for (const gradient of [undefined, null, [1], {}])
        expectError(() => layer.backward(gradient as never), 'ERR_INVALID_ARGUMENT', 'gradOutput');
      expectError(() => layer.backward(gone), 'ERR_DISPOSED', 'gradOutput');
      expectError(() => layer.backward(Tensor.zeros([3, 2], { device })), 'ERR_SHAPE', 'gradOutput');
      expectError(() => layer.backward(Tensor.zeros(SHAPE, { device, dtype: 'float64' })), 'ERR_DTYPE', 'gradOutput');
      expectError(() => layer.backward(Tensor.zeros(SHAPE, { device: secondDevice() })), 'ERR_DEVICE_MISMATCH', 'gradOutput');
      expectError(() => layer.backward(ones(), { streams: 1 } as never), 'ERR_INVALID_ARGUMENT', "Did you mean 'stream'?");
      expectError(() => layer.backward(ones(), { stream: 1 } as never), 'ERR_INVALID_ARGUMENT', 'options.stream');
      expect(valuesOf(layer.backward(ones()).bias)).to.deep.equal([6, 6]);
    });
  });

  it('averages cumulatively with momentum null', () => {
    const layer = layerOf({ momentum: null });
    layer.forward(input());
    const first = valuesOf(layer.runningMean);
    layer.forward(input(VALUES.map((x) => 3 * x)));
    for (const [i, mean] of valuesOf(layer.runningMean).entries()) expect(mean).to.be.closeTo((first[i]! + 3 * first[i]!) / 2, 1e-5);
    expect(layer.numBatchesTracked).to.equal(2);
  });

  it('resets its running statistics', () => {
    const layer = layerOf();
    layer.forward(input());
    layer.resetRunningStats();
    expect(valuesOf(layer.runningMean)).to.deep.equal([0, 0]);
    expect(valuesOf(layer.runningVar)).to.deep.equal([1, 1]);
    expect(layer.numBatchesTracked).to.equal(0);
    layer.forward(input());
    expect(layer.numBatchesTracked).to.equal(1);
    layerOf({ trackRunningStats: false }).resetRunningStats();
  });

  it('refuses everything but its plain facts once disposed', () => {
    const layer = layerOf();
    layer.forward(input());
    layer.dispose();
    layer.dispose();
    expect(layer).to.include({ disposed: true, numFeatures: 2 });
    expect(layer.weight!.disposed).to.equal(true);
    expectError(() => layer.forward(input()), 'ERR_DISPOSED', 'BatchNorm');
    expectError(() => layer.backward(ones()), 'ERR_DISPOSED');
    expectError(() => layer.resetRunningStats(), 'ERR_DISPOSED');
    expectError(() => layer.loadStateDict({}), 'ERR_DISPOSED');
  });

  it('says which of its tensors was disposed apart from it', () => {
    for (const name of ['weight', 'bias', 'runningMean', 'runningVar'] as const) {
      const layer = layerOf();
      layer[name]!.dispose();
      expectError(() => layer.forward(input()), 'ERR_DISPOSED', name);
      layer.dispose();
    }
  });
});
