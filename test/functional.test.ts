import { expect } from 'chai';
import { BatchNorm, batchNormBackward, batchNormInference, batchNormTraining, Mask, Tensor } from '../lib/index';
import { device } from './helpers/device';
import { expectError } from './helpers/failure';
import { secondDevice } from './helpers/second_device';

const SHAPE = [3, 2, 2];
const VALUES = [1, 5, -2, 0, 3, 3, 7, -4, 2, 2, 0, 1];
const tensor = (values: number[], shape: number[], dtype?: 'float64' | 'float16') => Tensor.from(values, shape, { device, dtype });
const input = () => tensor(VALUES, SHAPE);
const residual = () => tensor(VALUES.toReversed(), SHAPE);
const gradient = () => tensor([...VALUES].sort(), SHAPE);
const pair = (a: number, b: number) => tensor([a, b], [2]);
const valuesOf = (result: Tensor | null | undefined) => result && [...result.readSync()];

describe('the functional form', () => {
  for (const activation of ['identity', 'relu', 'gelu'] as const) {
    it(`computes what the layer computes, in training, with ${activation}`, () => {
      const layer = new BatchNorm(2, { device, activation, eps: 1e-3, momentum: 0.3, runningVariance: 'biased' });
      layer.weight!.write([0.5, 2]);
      layer.bias!.write([1, -1]);
      const [weight, bias, runningMean, runningVar] = [pair(0.5, 2), pair(1, -1), pair(0, 0), pair(1, 1)];
      const [x, r] = [input(), residual()];
      const common = { weight, bias, activation, eps: 1e-3 };
      const { output, statistics, mask } = batchNormTraining(x, {
        ...common,
        runningMean,
        runningVar,
        momentum: 0.3,
        runningVariance: 'biased',
        residual: r,
      });
      expect(valuesOf(output)).to.deep.equal(valuesOf(layer.forward(x, { residual: r })));
      expect(valuesOf(runningMean)).to.deep.equal(valuesOf(layer.runningMean));
      expect(valuesOf(runningVar)).to.deep.equal(valuesOf(layer.runningVar));
      expect(statistics.shape).to.deep.equal([3, 2]);
      expect(mask === null).to.equal(activation !== 'relu');

      const expected = layer.backward(gradient());
      for (const saved of mask ? [{ mask }, { residual: r }, { mask, residual: r }] : [{ residual: r }]) {
        const gradients = batchNormBackward(gradient(), x, { ...common, statistics, ...saved });
        for (const name of ['input', 'weight', 'bias', 'residual'] as const) {
          expect(valuesOf(gradients[name]), name).to.deep.equal(valuesOf(expected[name]));
        }
      }
    });
  }

  it('computes what the layer computes in eval', () => {
    const layer = new BatchNorm(2, { device, activation: 'tanh' });
    layer.loadStateDict({ ...stateOf([0.5, 2], [1, -1]), running_mean: entry([1, 2]), running_var: entry([4, 9]) });
    layer.eval();
    const options = { weight: pair(0.5, 2), bias: pair(1, -1), activation: 'tanh' } as const;
    const x = input();
    const [mean, variance] = [pair(1, 2), pair(4, 9)];
    expect(valuesOf(batchNormInference(x, mean, variance, options))).to.deep.equal(valuesOf(layer.forward(x, { saveForBackward: true })));
    const gradients = batchNormBackward(gradient(), x, { ...options, mean, variance });
    const expected = layer.backward(gradient());
    for (const name of ['input', 'weight', 'bias'] as const) expect(valuesOf(gradients[name])).to.deep.equal(valuesOf(expected[name]));
    expect(gradients).to.not.have.property('residual');
  });

  it('gives the statistics of the batch', () => {
    const { statistics } = batchNormTraining(tensor([1, 10, 3, 30], [2, 2]));
    expect(valuesOf(statistics)).to.deep.equal([2, 20, 0, 0, 1, 100]);
    expect(statistics.dtype).to.equal('float32');
    expect(batchNormTraining(tensor([1, 2], [2, 1], 'float64')).statistics.dtype).to.equal('float64');
    expect(batchNormTraining(tensor([1, 2], [2, 1], 'float64'), { weight: tensor([1], [1]) }).statistics.dtype).to.equal('float32');
    expect(batchNormTraining(tensor([1, 2], [2, 1], 'float16')).statistics.dtype).to.equal('float32');
  });

  it('works in place where nothing is saved', () => {
    const x = input();
    expectError(() => batchNormTraining(x, { out: x }), 'ERR_INVALID_ARGUMENT', 'saveForBackward: false');
    const { output, mask } = batchNormTraining(x, { out: x, residual: residual(), activation: 'relu', saveForBackward: false });
    expect(output).to.equal(x);
    expect(mask).to.equal(null);
    expect(batchNormInference(x, pair(0, 0), pair(1, 1), { out: x })).to.equal(x);
  });

  it('has masks that are disposed, and then refused', () => {
    const x = input();
    const { statistics, mask } = batchNormTraining(x, { residual: residual(), activation: 'leakyRelu' });
    const options = { statistics, mask, activation: 'leakyRelu' } as const;
    expect(mask).to.be.instanceOf(Mask);
    expect(mask!.byteLength).to.be.at.least(1).and.at.most(12);
    expect(`${mask}`).to.match(/^Mask of \d+ bytes on (cpu|cuda:\d+)$/);
    expectError(
      () => batchNormBackward(gradient(), x, { ...options, activation: 'gelu' }),
      'ERR_INVALID_ARGUMENT',
      'give the residual itself',
    );
    const other = batchNormTraining(Tensor.zeros([7, 2, 2], { device }), {
      residual: Tensor.zeros([7, 2, 2], { device }),
      activation: 'relu',
    });
    expectError(() => batchNormBackward(gradient(), x, { ...options, mask: other.mask }), 'ERR_SHAPE', 'options.mask');
    expectError(() => batchNormBackward(gradient(), x, { ...options, mask: x as never }), 'ERR_INVALID_ARGUMENT', 'options.mask');
    mask!.dispose();
    mask!.dispose();
    expect(mask!.disposed).to.equal(true);
    expectError(() => batchNormBackward(gradient(), x, options), 'ERR_DISPOSED', 'options.mask');
  });

  it('names the argument and both lengths', () => {
    const long = tensor([1, 2, 3], [3]);
    for (const name of ['weight', 'bias', 'runningMean', 'runningVar']) {
      const options = { runningMean: pair(0, 0), runningVar: pair(1, 1), [name]: long };
      expectError(() => batchNormTraining(input(), options), 'ERR_SHAPE', 'length 2', `options.${name}`, 'length 3');
    }
    expectError(() => batchNormInference(input(), long, pair(1, 1)), 'ERR_SHAPE', 'length 2', 'mean', 'length 3');
    expectError(() => batchNormInference(input(), pair(1, 1), long), 'ERR_SHAPE', 'length 2', 'variance', 'length 3');
    expectError(() => batchNormInference(input(), tensor([1, 2], [1, 2]), pair(1, 1)), 'ERR_SHAPE', '[2]', 'mean', '[1, 2]');
    expectError(
      () => batchNormBackward(input(), input(), { statistics: tensor([1, 2, 3, 4], [2, 2]) }),
      'ERR_SHAPE',
      '[3, 2]',
      'options.statistics',
    );
  });

  it('refuses what does not go together', () => {
    const [mean, variance] = [pair(0, 0), pair(1, 1)];
    const { statistics } = batchNormTraining(input());
    expectError(() => batchNormTraining(input(), { runningMean: mean }), 'ERR_INVALID_ARGUMENT', 'options.runningVar');
    expectError(() => batchNormTraining(input(), { runningVar: variance }), 'ERR_INVALID_ARGUMENT', 'options.runningMean');
    expectError(() => batchNormTraining(input(), { momentum: null as never }), 'ERR_INVALID_ARGUMENT', 'options.momentum');
    expectError(() => batchNormBackward(gradient(), input(), { statistics, mean, variance }), 'ERR_INVALID_ARGUMENT', 'either');
    expectError(() => batchNormBackward(gradient(), input(), { mean }), 'ERR_INVALID_ARGUMENT', 'options.variance');
    expectError(() => batchNormBackward(gradient(), input(), {}), 'ERR_INVALID_ARGUMENT', 'options.mean');
    expectError(() => batchNormBackward(gradient(), input(), undefined as never), 'ERR_INVALID_ARGUMENT', 'options.mean');
    expectError(() => batchNormBackward(tensor([1], [1, 1]), input(), { statistics }), 'ERR_SHAPE', 'gradOutput');
    expectError(() => batchNormTraining(tensor([1, 2], [1, 2])), 'ERR_SHAPE', 'more than 1 value per channel');
    expectError(() => batchNormInference(input(), undefined as never, variance), 'ERR_INVALID_ARGUMENT', 'mean');
    expectError(() => batchNormInference(null as never, mean, variance), 'ERR_INVALID_ARGUMENT', 'input');
    expectError(() => batchNormInference(input(), mean, variance, { stats: 1 } as never), 'ERR_INVALID_ARGUMENT', "'stats'");
  });

  it('refuses dtypes and devices that do not go together', () => {
    const double = tensor([1, 1], [2], 'float64');
    expectError(() => batchNormTraining(input(), { weight: pair(1, 1), bias: double }), 'ERR_DTYPE', 'float32', 'options.bias', 'float64');
    expectError(() => batchNormTraining(tensor(VALUES, SHAPE, 'float16'), { weight: double }), 'ERR_DTYPE', 'input');
    expectError(() => batchNormTraining(input(), { weight: tensor([1, 1], [2], 'float16') }), 'ERR_DTYPE', 'parameters and statistics');
    expect(batchNormTraining(input(), { weight: double }).statistics.dtype).to.equal('float64');
    const elsewhere = Tensor.zeros([2], { device: secondDevice() });
    expectError(() => batchNormTraining(input(), { weight: elsewhere }), 'ERR_DEVICE_MISMATCH', 'options.weight');
    expectError(() => batchNormInference(input(), pair(0, 0), elsewhere), 'ERR_DEVICE_MISMATCH', 'variance');
  });

  it('keeps nothing: the tensors may be disposed, and every result belongs to the caller', () => {
    const { live } = device.memory();
    const x = input();
    const { output, statistics, mask } = batchNormTraining(x, { residual: x, activation: 'relu' });
    const gradients = batchNormBackward(output, x, { statistics, mask, activation: 'relu' });
    expect(device.memory().live).to.be.greaterThan(live);
    for (const owned of [x, output, statistics, mask!, gradients.input, gradients.residual!]) owned.dispose();
    expect(device.memory().live).to.equal(live);
  });
});

function entry(values: number[]) {
  return { dtype: 'float32', shape: [values.length], data: Float32Array.from(values) };
}

function stateOf(weight: number[], bias: number[]) {
  return { weight: entry(weight), bias: entry(bias) };
}
