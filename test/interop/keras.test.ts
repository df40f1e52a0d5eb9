import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import fc from 'fast-check';
import { BatchNorm, BatchNormError, type BatchNormOptions, type ErrorCode } from '../../lib/index';
import { fromKeras, type KerasConfig, type KerasWeight, toKeras } from '../../lib/interop/keras';
import { batchNormalization } from '../../lib/tfjs';
import { device } from '../helpers/device';
import { expectError, expectRejection } from '../helpers/failure';
import { expectWithin, within } from '../helpers/within';
import { randomTensor, usePlainBackend } from '../tfjs/helpers';
import { inputOf, layerOf, samples } from './layers';
import { largest, runLayer } from './onnx_models';

const BOTH = [
  [1, 2],
  [3, 4],
  [5, 6],
  [7, 8],
] as const; // gamma, beta, moving mean, moving variance
const SHAPES = [
  [4, 3],
  [2, 4, 3],
  [2, 3, 2, 3],
];

const predict = (layer: tf.layers.Layer, x: tf.Tensor) => (layer.apply(x) as tf.Tensor).dataSync<'float32'>();

/** As Keras 3 gives it. */
const KERAS_3 = {
  name: 'batch_normalization',
  trainable: true,
  dtype: { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null },
  axis: -1,
  momentum: 0.75,
  epsilon: 0.25,
  center: true,
  scale: true,
  beta_initializer: { module: 'keras.initializers', class_name: 'Zeros', config: {}, registered_name: null },
  gamma_initializer: { module: 'keras.initializers', class_name: 'Ones', config: {}, registered_name: null },
  moving_mean_initializer: { module: 'keras.initializers', class_name: 'Zeros', config: {}, registered_name: null },
  moving_variance_initializer: { module: 'keras.initializers', class_name: 'Ones', config: {}, registered_name: null },
  beta_regularizer: null,
  gamma_regularizer: null,
  beta_constraint: null,
  gamma_constraint: null,
  synchronized: false,
};

describe('a layer from Keras', () => {
  before(usePlainBackend);
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  it('has the configuration in our terms', () => {
    using layer = fromKeras(KERAS_3, BOTH, { device });
    const wanted = {
      numFeatures: 2,
      axis: -1,
      momentum: 0.25,
      eps: 0.25,
      dtype: 'float32',
      runningVariance: 'biased',
      training: false,
      activation: 'identity',
      device,
    };
    expect(layer).to.include(wanted);
  });

  it('has the defaults of Keras, for null too', () => {
    for (const config of [{}, { axis: null, momentum: null, epsilon: null, center: null, scale: null, dtype: null }]) {
      using layer = fromKeras(config, BOTH, { device });
      expect(layer).to.include({ axis: -1, momentum: 1 - 0.99, eps: 1e-3, dtype: 'float32' });
    }
  });

  it('takes weights in the order of Keras, without those that are off', async () => {
    const values = async (config: KerasConfig, weights: KerasWeight[]) => {
      using layer = fromKeras(config, weights, { device });
      const { num_batches_tracked, ...state } = await layer.stateDict();
      return Object.fromEntries(Object.entries(state).map(([name, { data }]) => [name, [...(data as Float32Array)]]));
    };
    const [weight, bias, running_mean, running_var] = BOTH;
    expect(await values({}, [...BOTH])).to.deep.equal({ weight, bias, running_mean, running_var });
    expect(await values({ scale: false }, BOTH.slice(1))).to.deep.equal({ bias, running_mean, running_var });
    expect(await values({ center: false }, [weight, ...BOTH.slice(2)])).to.deep.equal({ weight, running_mean, running_var });
    expect(await values({ scale: false, center: false }, BOTH.slice(2))).to.deep.equal({ running_mean, running_var });
  });

  it('takes weights as arrays, typed arrays, with shapes, and as tensors', async () => {
    const weights = [[1, 2], Float64Array.of(3, 4), { shape: [2], data: Float32Array.of(5, 6) }, tf.tensor1d([7, 8])];
    using layer = fromKeras({}, weights, { device });
    expect([...(await layer.bias!.read()), ...(await layer.runningVar!.read())]).to.deep.equal([3, 4, 7, 8]);
  });

  const dtypes: [dtype: KerasConfig['dtype'], ours: string][] = [
    ['float64', 'float64'],
    ['float16', 'float32'],
    ['mixed_bfloat16', 'float32'],
    [{ class_name: 'DTypePolicy', config: { name: 'float64' } }, 'float64'],
    [{ class_name: 'Policy', config: { name: 'mixed_float16' } }, 'float32'],
  ];
  for (const [dtype, ours] of dtypes) {
    it(`has ${ours} for dtype ${JSON.stringify(dtype)}`, async () => {
      using layer = fromKeras({ dtype }, [[0.1, 1], ...BOTH.slice(1)], { device });
      expect(layer.dtype).to.equal(ours);
      expect((await layer.weight!.read())[0]).to.equal(ours === 'float64' ? 0.1 : Math.fround(0.1));
    });
  }

  it('takes the axis as Keras 2 saves it, the variance of its fused operation, and our activation', () => {
    using layer = fromKeras({ axis: [3], fused: true, activation: 'relu', trainable: false }, BOTH, {
      device,
      runningVariance: 'unbiased',
    });
    expect(layer).to.include({ axis: 3, runningVariance: 'unbiased', activation: 'relu' });
  });

  const refused: [title: string, code: ErrorCode, words: string, config: unknown, weights?: unknown, options?: unknown][] = [
    ['no configuration', 'ERR_INVALID_ARGUMENT', 'config', null],
    ['an unknown name', 'ERR_INVALID_ARGUMENT', "Did you mean 'epsilon'", { epsilom: 1 }],
    ['eps', 'ERR_INVALID_ARGUMENT', "'eps'", { eps: 1 }],
    ['a momentum that is no number', 'ERR_INVALID_ARGUMENT', 'config.momentum', { momentum: '0.9' }],
    ['a negative epsilon', 'ERR_INVALID_ARGUMENT', 'config.epsilon', { epsilon: -1 }],
    ['two axes', 'ERR_INVALID_ARGUMENT', 'config.axis', { axis: [1, 2] }],
    ['a fraction of an axis', 'ERR_INVALID_ARGUMENT', 'config.axis', { axis: 0.5 }],
    ['scale 1', 'ERR_INVALID_ARGUMENT', 'config.scale', { scale: 1 }],
    ['center 0', 'ERR_INVALID_ARGUMENT', 'config.center', { center: 0 }],
    ['an unknown activation', 'ERR_INVALID_ARGUMENT', 'activation', { activation: 'swish' }],
    ['renorm', 'ERR_INVALID_ARGUMENT', 'config.renorm', { renorm: true }],
    ['virtual batches', 'ERR_INVALID_ARGUMENT', 'config.virtualBatchSize', { virtual_batch_size: 4 }],
    ['synchronization', 'ERR_INVALID_ARGUMENT', 'config.synchronized', { synchronized: true }],
    ['a regularizer', 'ERR_INVALID_ARGUMENT', 'config.gammaRegularizer', { gamma_regularizer: { class_name: 'L2', config: {} } }],
    ['a constraint', 'ERR_INVALID_ARGUMENT', 'config.betaConstraint', { betaConstraint: 'nonNeg' }],
    ['an int32 layer', 'ERR_DTYPE', 'config.dtype', { dtype: 'int32' }],
    ['a policy without a name', 'ERR_DTYPE', 'config.dtype', { dtype: {} }],
    ['no weights', 'ERR_INVALID_ARGUMENT', 'weights', {}, undefined],
    ['three weights of four', 'ERR_SHAPE', '(gamma, beta, moving_mean, moving_variance)', {}, BOTH.slice(1)],
    ['four weights of three', 'ERR_SHAPE', '(beta, moving_mean, moving_variance)', { scale: false }, BOTH],
    ['other lengths', 'ERR_SHAPE', 'moving_mean', {}, [[1, 2], [3, 4], [5], [7, 8]]],
    ['no channels', 'ERR_INVALID_ARGUMENT', 'numFeatures', {}, [[], [], [], []]],
    ['two dimensions', 'ERR_SHAPE', 'beta', {}, [[1, 2], { shape: [1, 2], data: [3, 4] }, [5, 6], [7, 8]]],
    ['a shape that does not fit', 'ERR_SHAPE', 'beta', {}, [[1, 2], { shape: [2], data: [3] }, [5, 6], [7, 8]]],
    ['no shape', 'ERR_INVALID_ARGUMENT', 'shape of beta', {}, [[1, 2], { data: [3, 4] }, [5, 6], [7, 8]]],
    ['no data', 'ERR_INVALID_ARGUMENT', 'beta', {}, [[1, 2], { shape: [2] }, [5, 6], [7, 8]]],
    ['a number as a weight', 'ERR_INVALID_ARGUMENT', 'gamma', {}, [1, 2, 3, 4]],
    ['text in a weight', 'ERR_INVALID_ARGUMENT', 'gamma[1]', {}, [[1, '2'], ...BOTH.slice(1)]],
    ['numbers beyond float32', 'ERR_DTYPE', 'range of float32 for gamma', {}, [[1, 1e39], ...BOTH.slice(1)]],
    ['doubles beyond float32', 'ERR_DTYPE', 'range of float32 for beta', {}, [[1, 2], Float64Array.of(3, -1e39), ...BOTH.slice(2)]],
    ['numbers with a shape beyond float32', 'ERR_DTYPE', 'moving_mean', {}, [[1, 2], [3, 4], { shape: [2], data: [5, 1e39] }, [7, 8]]],
    ['an unknown option', 'ERR_INVALID_ARGUMENT', "Did you mean 'device'", {}, BOTH, { devise: 'cpu' }],
    ['an unknown variance', 'ERR_INVALID_ARGUMENT', 'options.runningVariance', {}, BOTH, { runningVariance: 'sample' }],
  ];
  for (const [title, code, words, config, ...rest] of refused) {
    const [weights, options] = rest.length === 0 ? [BOTH] : rest;
    it(`refuses ${title}`, () => expectError(() => fromKeras(config as KerasConfig, weights as never, options as object), code, words));
  }

  it('refuses a tensor that was disposed', () => {
    const gamma = tf.tensor1d([1, 2]);
    gamma.dispose();
    expectError(() => fromKeras({}, [gamma, ...BOTH.slice(1)]), 'ERR_INVALID_ARGUMENT', 'gamma', 'disposed');
  });

  it('computes what the layer of TensorFlow.js computes', async () => {
    const configs = fc.record({
      shape: fc.constantFrom(...SHAPES),
      seed: fc.nat(1000),
      momentum: fc.constantFrom(0.99, 0.5, undefined),
      epsilon: fc.constantFrom(1e-3, 0.5, undefined),
      scale: fc.boolean(),
      center: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(configs, async ({ shape, seed, ...config }) => {
        const theirs = tf.layers.batchNormalization(JSON.parse(JSON.stringify(config)));
        theirs.build(shape);
        theirs.setWeights(theirs.getWeights().map((weight, i) => tf.abs(randomTensor(weight.shape, seed + i, 1))));
        using layer = fromKeras(theirs.getConfig(), theirs.getWeights(), { device });
        const x = randomTensor(shape, seed + 9, 1, 3);
        const wanted = predict(theirs, x);
        const output = await runLayer(layer, x.dataSync<'float32'>(), shape);
        expectWithin(output, within(wanted, 1e-6 * largest(wanted, 10)), 'float32', JSON.stringify(config));
      }),
      { numRuns: 60 },
    );
  });

  it('computes what our layer of TensorFlow.js computes, bit for bit', async () => {
    const layer = batchNormalization({ activation: 'tanh', axis: 1, device });
    layer.build([2, 3, 4]);
    layer.setWeights(layer.getWeights().map((weight, i) => tf.abs(randomTensor(weight.shape, i, 1))));
    const x = randomTensor([2, 3, 4], 9);
    using copy = fromKeras(layer.getConfig(), layer.getWeights(), { device });
    expect(await runLayer(copy, x.dataSync<'float32'>(), x.shape)).to.deep.equal(predict(layer, x));
  });
});

describe('a layer for Keras', () => {
  before(usePlainBackend);
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  it('has the configuration in their terms, and the weights in their order', async () => {
    using layer = new BatchNorm(2, { eps: 0.25, momentum: 0.25, affine: 'bias', axis: -1, dtype: 'float64', device });
    layer.bias!.write([3, 4]);
    expect(await toKeras(layer)).to.deep.equal({
      className: 'BatchNormalization',
      config: { axis: -1, momentum: 0.75, epsilon: 0.25, center: true, scale: false, dtype: 'float64' },
      weights: [
        { name: 'beta', dtype: 'float64', shape: [2], data: Float64Array.of(3, 4) },
        { name: 'moving_mean', dtype: 'float64', shape: [2], data: Float64Array.of(0, 0) },
        { name: 'moving_variance', dtype: 'float64', shape: [2], data: Float64Array.of(1, 1) },
      ],
    });
  });

  it('computes in TensorFlow.js what it computes here', async () => {
    const drawn = samples({ activation: 'identity', dtype: 'float32' });
    await fc.assert(
      fc.asyncProperty(drawn, async (sample) => {
        const { shape } = sample;
        using layer = layerOf(sample);
        const { config, weights } = await toKeras(layer);
        // TensorFlow.js has no right answer for other axes than the last: it is asked about the same numbers with the channels there, in rank 2.
        const axis = (config.axis + shape.length) % shape.length;
        const channelsLast = [...shape.keys()].filter((dimension) => dimension !== axis).concat(axis);
        const isLast = axis === shape.length - 1 && shape.length <= 4;
        const arrange = (tensor: tf.Tensor) => (isLast ? tensor : tf.reshape(tf.transpose(tensor, channelsLast), [-1, sample.channels]));
        const input = inputOf(sample);
        const x = arrange(tf.tensor(input, shape));
        const theirs = tf.layers.batchNormalization({ ...config, dtype: 'float32', axis: isLast ? config.axis : -1 });
        theirs.build(x.shape);
        theirs.setWeights(weights.map(({ shape, data }) => tf.tensor(data, shape)));
        expect(theirs.getConfig()).to.include({ momentum: config.momentum, epsilon: layer.eps });
        const wanted = predict(theirs, x);
        const output = arrange(tf.tensor(await runLayer(layer, input, shape), shape)).dataSync<'float32'>();
        expectWithin(output, within(wanted, 1e-6 * largest(wanted, 10)), 'float32', JSON.stringify(sample));
      }),
      { numRuns: 100 },
    );
  });

  const refused: [title: string, words: string, options: BatchNormOptions][] = [
    ['momentum null', 'cumulative average', { momentum: null }],
    ['a layer without running statistics', 'running statistics', { trackRunningStats: false }],
    ['an activation', 'Activation layer', { activation: 'relu' }],
    ['renorm', 'no renorm', { renorm: { rMax: 3, dMax: 5 } }],
    ['virtual batches', 'ghost batches', { virtualBatchSize: 2 }],
  ];
  for (const [title, words, options] of refused) {
    it(`refuses ${title}`, () => expectRejection(toKeras(new BatchNorm(2, { device, ...options })), 'ERR_INVALID_ARGUMENT', words));
  }

  it('refuses what is no layer, and a layer that was disposed', async () => {
    for (const layer of [undefined, null, {}, 3]) await expectRejection(toKeras(layer as never), 'ERR_INVALID_ARGUMENT', 'a BatchNorm');
    const layer = new BatchNorm(2, { device });
    layer.dispose();
    await expectRejection(toKeras(layer), 'ERR_DISPOSED');
  });
});

it('whatever Keras gives is taken or refused in words', () => {
  const weight = fc.oneof(fc.constant([1, 2]), fc.anything());
  const value = fc.oneof(fc.anything(), fc.constantFrom(null, true, false, 1, 0.5));
  const config = fc.record(
    { axis: value, momentum: value, epsilon: value, scale: value, dtype: value, renorm: value },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      fc.oneof({ weight: 4, arbitrary: config }, fc.anything()),
      fc.oneof({ weight: 4, arbitrary: fc.array(weight, { minLength: 3, maxLength: 4 }) }, fc.anything()),
      (config, weights) => {
        try {
          fromKeras(config as KerasConfig, weights as never, { device }).dispose();
        } catch (error) {
          if (!(error instanceof BatchNormError)) throw error;
        }
      },
    ),
    { numRuns: 3000 },
  );
});
