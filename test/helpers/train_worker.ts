/** A worker's program, and the main thread's beside it: trains a layer for some steps and gives its state as text. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { BatchNorm, Tensor } from '../../lib/index';
import { device, emulated } from './device';
import { normals } from './random';

const IMAGES = emulated ? 4 : 16;

export interface Job {
  steps: number;
  seed: number;
}

export async function train({ steps, seed }: Job): Promise<string> {
  const layer = new BatchNorm(32, { device, activation: 'relu' });
  const input = Tensor.from(normals(IMAGES * 32 * 49, seed), [IMAGES, 32, 7, 7], { device, dtype: 'float32' });
  for (let i = 0; i < steps; ++i) {
    const output = layer.forward(input);
    const gradients = layer.backward(output);
    const weight = await gradients.weight!.read();
    layer.weight!.write(weight.map((value) => 1 + 1e-6 * value));
    for (const tensor of [output, gradients.input, gradients.weight!, gradients.bias!]) tensor.dispose();
  }
  const state = await layer.stateDict();
  layer.dispose();
  input.dispose();
  const held = device.memory().live;
  return JSON.stringify({ held, state }, (_, value) => (typeof value === 'bigint' ? Number(value) : value));
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  train(workerData as Job).then((result) => port.postMessage(result));
}
