/** The classifier: layers of linear → batch norm → ReLU, and a linear one on top. */

import * as tf from '@tensorflow/tfjs';
import { batchNormalization } from '../../tfjs';

export interface NetworkOptions {
  inputs: number;
  classes: number;
  batchNorm: boolean;
  device: string;
  seed: number;
}

export interface Network {
  /** From features to logits. */
  classifier: tf.LayersModel;
  /** The same layers; answers the logits, and then what each activation is given. */
  observed: tf.LayersModel;
}

export const HIDDEN_LAYERS = 4;
export const HIDDEN_UNITS = 64;

export function makeNetwork({ inputs, classes, batchNorm, device, seed }: NetworkOptions): Network {
  const kernel = (layer: number) => tf.initializers.glorotUniform({ seed: seed * 100 + layer });
  const input = tf.input({ shape: [inputs] });
  const preActivations: tf.SymbolicTensor[] = [];
  let values = input;
  for (let layer = 0; layer < HIDDEN_LAYERS; layer++) {
    // Batch norm takes the mean away, and with it any bias before it.
    values = apply(tf.layers.dense({ units: HIDDEN_UNITS, useBias: !batchNorm, kernelInitializer: kernel(layer) }), values);
    if (batchNorm) values = apply(batchNormalization({ momentum: 0.9, device }), values);
    preActivations.push(values);
    values = apply(tf.layers.reLU(), values); // a layer of its own, so that what it is given can be seen
  }
  const logits = apply(tf.layers.dense({ units: classes, kernelInitializer: kernel(HIDDEN_LAYERS) }), values);
  return {
    classifier: tf.model({ inputs: input, outputs: logits }),
    observed: tf.model({ inputs: input, outputs: [logits, ...preActivations] }),
  };
}

function apply(layer: tf.layers.Layer, values: tf.SymbolicTensor): tf.SymbolicTensor {
  return layer.apply(values) as tf.SymbolicTensor;
}

/** The logits of every row, `[count, classes]`, computed as in use: with the running statistics. */
export function predict(classifier: tf.LayersModel, features: Float32Array, count: number): Float32Array {
  return tf.tidy(() => {
    const logits = classifier.predict(tf.tensor2d(features, [count, features.length / count]), { batchSize: 512 }) as tf.Tensor;
    return logits.dataSync() as Float32Array;
  });
}
