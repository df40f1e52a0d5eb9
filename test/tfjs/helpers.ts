/** TensorFlow.js in tests: its plain JavaScript backend, data from a seed, and comparison to float32 rounding. */

import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { normals } from '../helpers/random';

export async function usePlainBackend(): Promise<void> {
  tf.enableProdMode(); // without its advice on the console
  await tf.setBackend('cpu');
}

export function randomTensor(shape: readonly number[], seed: number, mean = 0, deviation = 1): tf.Tensor {
  const count = shape.reduce((product, length) => product * length, 1);
  return tf.tensor(Float32Array.from(normals(count, seed, mean, deviation)), [...shape], 'float32');
}

/** Same shape and type, and values that differ by no more than `tolerance` of the largest magnitude. */
export function expectClose(actual: tf.Tensor, wanted: tf.Tensor, tolerance = 2e-6): void {
  expect(actual.shape).to.deep.equal(wanted.shape);
  expect(actual.dtype).to.equal(wanted.dtype);
  const values = actual.dataSync<'float32'>();
  const expected = wanted.dataSync<'float32'>();
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  expected.forEach((value, index) => {
    expect(values[index], `element ${index}`).to.be.closeTo(value, tolerance * scale);
  });
}

export function expectAllClose(actual: readonly tf.Tensor[], wanted: readonly tf.Tensor[], tolerance?: number): void {
  expect(actual.length).to.equal(wanted.length);
  actual.forEach((tensor, index) => {
    expectClose(tensor, wanted[index]!, tolerance);
  });
}
