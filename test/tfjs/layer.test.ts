import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { BatchNormError } from '../../lib/index';
import { BatchNormalization, type BatchNormalizationConfig, batchNormalization } from '../../lib/tfjs';
import { device } from '../helpers/device';
import { expectAllClose, expectClose, randomTensor, usePlainBackend } from './helpers';

type Make = (config: BatchNormalizationConfig) => tf.layers.Layer;
const ours: Make = batchNormalization;
const theirs: Make = (config) => tf.layers.batchNormalization(config);

/** A layer with weights that are not their defaults. */
function built(make: Make, config: BatchNormalizationConfig, shape: readonly number[]): tf.layers.Layer {
  const layer = make(config);
  layer.build([...shape]);
  layer.setWeights(layer.getWeights().map((weight, index) => tf.abs(randomTensor(weight.shape, 10 + index, 1))));
  return layer;
}

/** Output, gradient of the input, and the moving statistics after, of one pass. */
function pass(layer: tf.layers.Layer, x: tf.Tensor, training: boolean): tf.Tensor[] {
  const factors = randomTensor(x.shape, 7);
  const apply = (x: tf.Tensor) => tf.mul(layer.apply(x, { training }) as tf.Tensor, factors);
  const { value, grad } = tf.valueAndGrad(apply)(x);
  return [value, grad, ...layer.getWeights().slice(-2)];
}

describe('tfjs layer', () => {
  before(usePlainBackend);
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  for (const shape of [
    [16, 3],
    [4, 5, 3],
    [2, 4, 5, 3],
  ]) {
    for (const training of [true, false]) {
      it(`is tf.layers.batchNormalization on rank ${shape.length}, ${training ? 'training' : 'inference'}`, () => {
        const x = randomTensor(shape, 1, 3, 2);
        const config = { momentum: 0.8, epsilon: 0.01 };
        expectAllClose(pass(built(ours, config, shape), x, training), pass(built(theirs, config, shape), x, training), 1e-5);
      });
    }
  }

  // Where TensorFlow.js itself has no (right) answer, its layer is asked about the same numbers with the channels last in rank 2.
  for (const shape of [
    [4, 3, 5],
    [2, 4, 5, 3],
    [2, 3, 2, 5, 3],
  ]) {
    for (let axis = 1; axis < shape.length; axis++) {
      for (const training of [true, false]) {
        it(`normalizes axis ${axis} of shape [${shape}], ${training ? 'training' : 'inference'}`, () => {
          const x = randomTensor(shape, 1, 3, 2);
          const channelsLast = [...shape.keys()].filter((dimension) => dimension !== axis).concat(axis);
          const flat = (tensor: tf.Tensor) => tf.reshape(tf.transpose(tensor, channelsLast), [-1, shape[axis]!]);
          const layer = built(ours, { axis }, shape);
          const reference = built(theirs, {}, [x.size / shape[axis]!, shape[axis]!]);
          const factors = flat(randomTensor(shape, 7));
          const apply = (x: tf.Tensor) => tf.mul(flat(layer.apply(x, { training }) as tf.Tensor), factors);
          const wanted = (x: tf.Tensor) => tf.mul(reference.apply(flat(x), { training }) as tf.Tensor, factors);
          const [one, other] = [tf.valueAndGrad(apply)(x), tf.valueAndGrad(wanted)(x)];
          expectAllClose([one.value, one.grad], [other.value, other.grad], 1e-5);
          expectAllClose(layer.getWeights().slice(-2), reference.getWeights().slice(-2), 1e-5);
        });
      }
    }
  }

  it('stores the biased variance on every rank, as TensorFlow.js does', () => {
    for (const shape of [
      [4, 2],
      [2, 2, 2],
      [2, 2, 1, 2],
    ]) {
      const x = randomTensor(shape, 1);
      const layer = ours({ momentum: 0 });
      layer.apply(x, { training: true });
      const { variance } = tf.moments(x, [...shape.keys()].slice(0, -1));
      expectClose(layer.getWeights()[3]!, variance);
    }
  });

  for (const off of [{ center: false }, { scale: false }, { center: false, scale: false }]) {
    it(`works with ${JSON.stringify(off)}`, () => {
      const x = randomTensor([8, 3], 1, 3, 2);
      const layer = ours(off);
      const reference = theirs(off);
      expectClose(layer.apply(x) as tf.Tensor, reference.apply(x) as tf.Tensor);
      expect(layer.getWeights().map(({ shape }) => shape)).to.deep.equal(reference.getWeights().map(({ shape }) => shape));
      // In training theirs needs both weights: at their initial values they say the same as none.
      expectAllClose(pass(layer, x, true), pass(theirs({}), x, true), 1e-5);
    });
  }

  it('has their weights: gamma, beta, moving mean, moving variance, interchangeable both ways', () => {
    const [a, b] = [built(ours, {}, [1, 3]), built(theirs, {}, [1, 3])];
    const names = (layer: tf.layers.Layer) => layer.weights.map(({ originalName }) => originalName.split('/').at(-1));
    expect(names(a)).to.deep.equal(names(b)).and.deep.equal(['gamma', 'beta', 'moving_mean', 'moving_variance']);
    const values = [1, 2, 3, 4].map((value) => tf.fill([3], value));
    b.setWeights(values);
    a.setWeights(b.getWeights());
    expectAllClose(a.getWeights(), values, 0);
    expect(a.trainableWeights.length).to.equal(2);
  });

  it('takes initial values, initializers, constraints and regularizers as theirs', () => {
    const config: BatchNormalizationConfig = {
      betaInitializer: 'ones',
      gammaInitializer: tf.initializers.constant({ value: 3 }),
      movingMeanInitializer: 'ones',
      movingVarianceInitializer: tf.initializers.constant({ value: 4 }),
      gammaConstraint: 'nonNeg',
      betaRegularizer: 'l1l2',
      weights: undefined as unknown as tf.Tensor[],
    };
    const [a, b] = [ours(config), theirs(config)];
    const x = randomTensor([5, 3], 1);
    expectClose(a.apply(x) as tf.Tensor, b.apply(x) as tf.Tensor);
    const { name: _a, activation, ...configA } = a.getConfig();
    const { name: _b, ...configB } = b.getConfig();
    expect(configA).to.deep.equal(configB);
    expect(activation).to.equal('identity');
    expect(a.calculateLosses().length).to.equal(b.calculateLosses().length);
  });

  it('takes null for a default', () => {
    const layer = ours({ axis: null, momentum: null, epsilon: null, center: null, scale: null } as unknown as BatchNormalizationConfig);
    expect(layer.getConfig()).to.include({ axis: -1, momentum: 0.99, epsilon: 1e-3, center: true, scale: true });
  });

  it('refuses what it does not know', () => {
    const wrong: [config: object, code: string, name: string][] = [
      [{ momentun: 0.9 }, 'ERR_INVALID_ARGUMENT', "Did you mean 'momentum'"],
      [{ eps: 1e-3 }, 'ERR_INVALID_ARGUMENT', 'eps'],
      [{ axis: 'last' }, 'ERR_INVALID_ARGUMENT', 'axis'],
      [{ momentum: Number.NaN }, 'ERR_INVALID_ARGUMENT', 'momentum'],
      [{ epsilon: -1 }, 'ERR_INVALID_ARGUMENT', 'epsilon'],
      [{ center: 1 }, 'ERR_INVALID_ARGUMENT', 'center'],
      [{ activation: 'swish' }, 'ERR_INVALID_ARGUMENT', 'activation'],
      [{ device: 'tpu' }, 'ERR_INVALID_ARGUMENT', 'name'],
    ];
    for (const [config, code, name] of wrong) {
      expect(() => ours(config), JSON.stringify(config))
        .to.throw(BatchNormError, name)
        .with.property('code', code);
    }
  });

  it('refuses inputs that do not fit', () => {
    const layer = new BatchNormalization({ axis: 3 });
    expect(() => layer.call([tf.zeros([2, 3]), tf.zeros([2, 3])])).to.throw(BatchNormError, 'exactly one tensor');
    expect(() => layer.call(tf.zeros([2, 3])))
      .to.throw(BatchNormError, 'axis')
      .with.property('code', 'ERR_SHAPE');
  });

  it('computes an activation in the same pass', () => {
    const x = randomTensor([8, 3], 1);
    const fused = pass(ours({ activation: 'relu', device: device }), x, true);
    const plain = ours({});
    const factors = randomTensor([8, 3], 7);
    const apart = tf.valueAndGrad((x: tf.Tensor) => tf.mul(tf.relu(plain.apply(x, { training: true }) as tf.Tensor), factors))(x);
    expectAllClose(fused.slice(0, 2), [apart.value, apart.grad], 1e-5);
  });

  it('keeps its weights but moves its statistics when not trainable, as theirs', async () => {
    const weightsAfterStep = async (make: Make) => {
      const model = tf.sequential({
        layers: [make({ inputShape: [3], trainable: false }), tf.layers.dense({ units: 1, kernelInitializer: 'ones' })],
      });
      model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
      await model.trainOnBatch(randomTensor([8, 3], 1, 2), tf.ones([8, 1]));
      return model.layers[0]!.getWeights();
    };
    const weights = await weightsAfterStep(ours);
    expectAllClose(weights, await weightsAfterStep(theirs));
    expectClose(weights[0]!, tf.ones([3]), 0);
    expect(weights[2]!.dataSync()[0]).to.not.equal(0);
  });
});
