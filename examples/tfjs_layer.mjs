// The layer inside a TensorFlow.js model. Run it after ./setup.sh with: node examples/tfjs_layer.mjs
import * as tf from '@tensorflow/tfjs';
import { batchNormalization, replaceBatchNormalization } from 'cuda-batchnorm/tfjs';

const model = tf.sequential({
  layers: [
    tf.layers.dense({ units: 16, useBias: false, inputShape: [4] }),
    batchNormalization({ activation: 'relu' }), // tf.layers.batchNormalization's configuration, and a fused activation
    tf.layers.dense({ units: 1 }),
  ],
});
model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' });

const x = tf.randomNormal([256, 4], 0, 1, 'float32', 1);
const { history } = await model.fit(x, tf.sum(tf.square(x), 1, true), { epochs: 20, verbose: 0 });
console.log(`loss ${history.loss[0].toFixed(2)} -> ${history.loss.at(-1).toFixed(2)}`);

// A model that has their layers already: the same configuration and weights, computed here.
const theirs = tf.sequential({ layers: [tf.layers.batchNormalization({ inputShape: [4] })] });
const ours = await replaceBatchNormalization(theirs);
console.log('largest difference', tf.max(tf.abs(tf.sub(ours.predict(x), theirs.predict(x)))).arraySync());
