// Training a TensorFlow.js model with and without our batch norm, on features of very different scales. Run it after ./setup.sh with:
// node examples/tfjs_training.mjs
import * as tf from '@tensorflow/tfjs';
import { batchNormalization } from 'cuda-batchnorm/tfjs';

const [SAMPLES, EPOCHS] = [512, 20];
const MOMENTUM = 0.9; // Keras's 0.99 takes more steps than these for the moving statistics to arrive

// Whether a point lies inside of a circle; its coordinates come as a number of some thousands and one of some tenths.
const points = tf.randomUniform([SAMPLES, 2], -1, 1, 'float32', 1);
const labels = tf.tidy(() => tf.sum(tf.square(points), 1, true).less(0.6).toFloat());
const features = tf.tidy(() => points.mul([300, 0.1]).add([5000, 0.5]));

/** The same model twice, but for what stands behind each hidden layer's matrix: our batch norm, or an activation alone. */
function makeModel(withBatchNorm) {
  const hidden = (seed, inputShape) => [
    ...(withBatchNorm && inputShape ? [batchNormalization({ inputShape, momentum: MOMENTUM })] : []),
    tf.layers.dense({ units: 16, ...(inputShape && { inputShape }), kernelInitializer: tf.initializers.heNormal({ seed }) }),
    withBatchNorm ? batchNormalization({ activation: 'relu', momentum: MOMENTUM }) : tf.layers.activation({ activation: 'relu' }),
  ];
  const last = tf.layers.dense({ units: 1, activation: 'sigmoid', kernelInitializer: tf.initializers.glorotNormal({ seed: 3 }) });
  const model = tf.sequential({ layers: [...hidden(1, [2]), ...hidden(2), last] });
  model.compile({ optimizer: tf.train.adam(0.01), loss: 'binaryCrossentropy', metrics: ['accuracy'] });
  return model;
}

for (const withBatchNorm of [false, true]) {
  const model = makeModel(withBatchNorm);
  const { history } = await model.fit(features, labels, { epochs: EPOCHS, batchSize: 64, shuffle: false, verbose: 0 });
  const [, accuracy] = model.evaluate(features, labels); // inference: the moving statistics
  const name = withBatchNorm ? 'with batch norm   ' : 'without batch norm';
  console.log(`${name} loss ${history.loss.at(-1).toFixed(3)}, accuracy in inference ${accuracy.dataSync()[0].toFixed(3)}`);
}
