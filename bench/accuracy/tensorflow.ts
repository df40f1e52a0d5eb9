/** TensorFlow.js with its wasm backend: float32, and channels last, which alone its batchNorm4d computes right. */

import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { EPS } from '../cpu/data';
import { type Layout, memoryShape } from '../cpu/problem';
import type { Contender, Step } from './contender';
import { fromLayout, type Problem, toLayout } from './problem';

export async function startTensorFlow(): Promise<Contender> {
  await tf.setBackend('wasm');
  return {
    name: 'TensorFlow.js wasm',
    version: tf.version.tfjs,
    note: 'tf.moments and tf.batchNorm4d, and their gradients',
    role: 'rival',
    layouts: ['channels last'],
    dtypes: ['float32'],
    step,
    close: () => {},
  };
}

function normalize(x: tf.Tensor, γ: tf.Tensor, β: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  return tf.batchNorm4d(x as tf.Tensor4D, mean.as1D(), variance.as1D(), β.as1D(), γ.as1D(), EPS);
}

async function step({ x, dy, shape }: Problem, layout: Layout): Promise<Step> {
  const [output, dx, dγ, dβ] = tf.tidy(() => {
    const upload = (values: Float32Array) => tf.tensor4d(toLayout(values, shape, layout), memoryShape({ shape, layout }));
    const arguments_ = [upload(x), tf.ones([shape[1]]), tf.zeros([shape[1]])];
    const { value, grads } = tf.valueAndGrads(normalize)(arguments_, upload(dy));
    return [value, ...grads];
  }) as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor];
  const download = async (tensor: tf.Tensor) => fromLayout((await tensor.data()) as Float32Array, shape, layout);
  const result = { output: await download(output), dx: await download(dx), dγ: await dγ.data(), dβ: await dβ.data() };
  tf.dispose([output, dx, dγ, dβ]);
  return result;
}
