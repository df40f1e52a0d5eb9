/**
 * A ResNet-20 for CIFAR-10 (He et al. 2015, arXiv:1512.03385, section 4.2), run by TensorFlow.js, channels last: shortcuts without parameters, which take
 * every second pixel and pad channels with zeros. Only what a batch norm does is left to the caller.
 */

import * as tf from '@tensorflow/tfjs';
import type { SafetensorsTensor } from '../../lib/interop/safetensors';
import { normals } from '../helpers/random';

/** A model file's tensors, by PyTorch's names. */
export type Parameters = ReadonlyMap<string, SafetensorsTensor>;

/** Normalizes x, `[N, H, W, C]`, by the batch norm of this name; gives x itself back where that is folded. */
export type Normalize = (x: tf.Tensor4D, name: string) => tf.Tensor4D;

/** Stages of blocks, and how wide they are. */
const WIDTHS = [16, 32, 64];
const BLOCKS = 3;

/** Images as they come out of normalization, `[N, 32, 32, 3]`: a gradient under noise, another for each. */
export function images(count: number): tf.Tensor4D {
  const noise = normals(count * 32 * 32 * 3, 20, 0, 0.5);
  const values = noise.map((value, i) => {
    const [channel, column, row] = [i % 3, Math.floor(i / 3) % 32, Math.floor(i / 96) % 32];
    const image = Math.floor(i / 3072);
    return value + Math.sin((row * (image + 1) + column * (channel + 1)) / 16);
  });
  return tf.tensor4d(Float32Array.from(values), [count, 32, 32, 3]);
}

/** The ten logits of each image. */
export function logits(input: tf.Tensor4D, parameters: Parameters, normalize: Normalize): Float32Array {
  return tf.tidy(() => {
    let x = tf.relu(normalize(convolve(input, parameters, 'conv1', 1), 'bn1'));
    for (const [stage, width] of WIDTHS.entries()) {
      for (let block = 0; block < BLOCKS; ++block) {
        const name = `layer${stage + 1}.${block}`;
        const stride = stage > 0 && block === 0 ? 2 : 1;
        const hidden = tf.relu(normalize(convolve(x, parameters, `${name}.conv1`, stride), `${name}.bn1`));
        const residual = normalize(convolve(hidden, parameters, `${name}.conv2`, 1), `${name}.bn2`);
        x = tf.relu(tf.add(residual, stride === 1 ? x : narrowed(x, width)));
      }
    }
    const pooled = tf.mean<tf.Tensor2D>(x, [1, 2]);
    const output = tf.matMul(pooled, valuesOf<tf.Tensor2D>(parameters, 'linear.weight'), false, true);
    return tf.add(output, valuesOf(parameters, 'linear.bias')).dataSync<'float32'>();
  });
}

function convolve(x: tf.Tensor4D, parameters: Parameters, name: string, stride: number): tf.Tensor4D {
  const kernel = tf.transpose(valuesOf<tf.Tensor4D>(parameters, `${name}.weight`), [2, 3, 1, 0]);
  const output = tf.conv2d(x, kernel, stride, 1, 'NHWC', 1, 'floor');
  return parameters.has(`${name}.bias`) ? tf.add(output, valuesOf(parameters, `${name}.bias`)) : output;
}

function narrowed(x: tf.Tensor4D, width: number): tf.Tensor4D {
  const padding = width / 4;
  return tf.pad(tf.stridedSlice(x, [0, 0, 0, 0], x.shape, [1, 2, 2, 1]), [
    [0, 0],
    [0, 0],
    [0, 0],
    [padding, padding],
  ]) as tf.Tensor4D;
}

export function valuesOf<T extends tf.Tensor>(parameters: Parameters, name: string): T {
  const { data, shape } = parameters.get(name)!;
  return tf.tensor(data as Float32Array, [...shape], 'float32') as T;
}
