import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { Device } from '../../lib/index';
import { batchNormalization } from '../../lib/tfjs';
import { settle } from '../helpers/garbage';
import { randomTensor, usePlainBackend } from './helpers';

type Make = (config: object) => tf.layers.Layer;
const theirs: Make = (config) => tf.layers.batchNormalization(config);

/** Linear → batch norm → ReLU twice, weights from a seed. */
function dense(make: Make): tf.Sequential {
  const linear = (seed: number, inputs?: number) =>
    tf.layers.dense({ units: 16, kernelInitializer: tf.initializers.glorotUniform({ seed }), ...(inputs && { inputShape: [inputs] }) });
  const head = tf.layers.dense({ units: 3, activation: 'softmax', kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }) });
  return tf.sequential({ layers: [linear(1, 8), make({}), tf.layers.reLU(), linear(2), make({ momentum: 0.5 }), tf.layers.reLU(), head] });
}

/** Convolution → batch norm → ReLU on 4-D data. */
function convolutional(make: Make): tf.Sequential {
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 1 });
  const convolution = tf.layers.conv2d({ filters: 4, kernelSize: 3, useBias: false, kernelInitializer, inputShape: [6, 6, 2] });
  const head = tf.layers.dense({ units: 3, activation: 'softmax', kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }) });
  return tf.sequential({ layers: [convolution, make({}), tf.layers.reLU(), tf.layers.flatten(), head] });
}

async function lossesOf(model: tf.Sequential, shape: number[], optimizer: tf.Optimizer, rows = 64): Promise<number[]> {
  const x = randomTensor([rows, ...shape], 1, 1, 2);
  const y = tf.oneHot(
    tf.tensor1d(
      [...Array(rows).keys()].map((row) => row % 3),
      'int32',
    ),
    3,
  );
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  const { history } = await model.fit(x, y, { epochs: 8, batchSize: 16, shuffle: false, validationData: [x, y], verbose: 0 });
  const losses = [...(history.loss as number[]), ...(history.val_loss as number[])];
  tf.dispose([x, y]);
  model.dispose();
  optimizer.dispose();
  return losses;
}

function expectSameLosses(actual: number[], wanted: number[]): void {
  expect(actual.length).to.equal(wanted.length);
  expect(wanted[0]! - wanted[7]!, 'the training learns').to.be.greaterThan(0.1);
  actual.forEach((loss, index) => {
    expect(loss, `loss ${index}`).to.be.closeTo(wanted[index]!, 2e-5 * Math.abs(wanted[index]!));
  });
}

describe('tfjs training', () => {
  before(usePlainBackend);

  it('goes the way of tf.layers.batchNormalization: dense network', async () => {
    expectSameLosses(
      await lossesOf(dense(batchNormalization), [8], tf.train.sgd(0.1)),
      await lossesOf(dense(theirs), [8], tf.train.sgd(0.1)),
    );
  });

  it('goes the way of tf.layers.batchNormalization: convolutional network, momentum', async () => {
    const optimizer = () => tf.train.momentum(0.05, 0.9);
    expectSameLosses(
      await lossesOf(convolutional(batchNormalization), [6, 6, 2], optimizer()),
      await lossesOf(convolutional(theirs), [6, 6, 2], optimizer()),
    );
  });

  it('goes the way of tf.layers.batchNormalization when the last batch is a single row', async () => {
    expectSameLosses(
      await lossesOf(dense(batchNormalization), [8], tf.train.sgd(0.1), 65),
      await lossesOf(dense(theirs), [8], tf.train.sgd(0.1), 65),
    );
  });

  it('holds on to no memory: tensors and device bytes stay flat', async () => {
    const model = dense(batchNormalization);
    model.compile({ optimizer: tf.train.sgd(0.1), loss: 'meanSquaredError' });
    const x = randomTensor([32, 8], 1);
    const hidden = randomTensor([32, 16], 2);
    const y = tf.zeros([32, 3]);
    const layer = model.layers[1]!;
    const step = async () => {
      await model.trainOnBatch(x, y);
      tf.dispose(model.predict(x));
      tf.tidy(() => {
        layer.apply(hidden, { training: true });
      });
      tf.dispose(layer.apply(hidden, { training: true }) as tf.Tensor); // outside of any tidy or tape
    };
    await step();
    await settle();
    const use = () => ({ tensors: tf.memory().numTensors, bytes: tf.memory().numBytes, live: Device.get('auto').memory().live });
    const before = use();
    for (let i = 0; i < 20; i++) await step();
    expect(use()).to.deep.equal(before);
    model.dispose();
    tf.dispose([x, y, hidden]);
  });

  it('gives device memory back when the computation fails half way', () => {
    const before = Device.get('auto').memory().live;
    const layer = batchNormalization({});
    layer.build([1, 3]);
    expect(() => tf.tidy(() => layer.call(tf.zeros([2, 4])))).to.throw();
    expect(() => tf.tidy(() => layer.call(tf.zeros([2, 4]), { training: true }))).to.throw();
    expect(Device.get('auto').memory().live).to.equal(before);
    tf.dispose(layer.weights.map((weight) => weight.read()));
  });
});
