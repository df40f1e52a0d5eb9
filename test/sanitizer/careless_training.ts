/** A worker's program, and the main thread's beside it: trains as carelessly as is allowed, with memory given up while work is in flight. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { BatchNorm, Tensor } from '../../lib/index';
import { device, emulated } from '../helpers/device';
import { normals } from '../helpers/random';

const SHAPE = emulated ? [4, 16, 7, 7] : [8, 16, 15, 15]; // the emulator takes a second for some million values, sanitized many more
const SIZE = SHAPE.reduce((product, length) => product * length);

/** What a training run ends with; the same for each run of the same number of steps. */
export interface Outcome {
  runningMean: number[];
  lastOutput: number[];
}

/** Forward and backward `steps` times. Only every tenth step waits; every seventh leaves its output to the garbage collector. */
export async function trainCarelessly(steps: number): Promise<Outcome> {
  const layer = new BatchNorm(16, { device, activation: 'relu' });
  const values = Float32Array.from(normals(2 * SIZE, 7));
  let lastOutput: Promise<Float32Array | Float64Array> | undefined;
  for (let step = 0; step < steps; ++step) {
    const input = Tensor.from(values.subarray(step, step + SIZE), SHAPE, { device, dtype: 'float32' });
    const residual = Tensor.from(values.subarray(0, SIZE), SHAPE, { device, dtype: 'float32' });
    const output = layer.forward(input, { residual });
    const gradients = layer.backward(output);
    if (step === steps - 1) lastOutput = output.read();
    for (const tensor of [input, residual, gradients.input, gradients.residual!, gradients.weight!, gradients.bias!]) tensor.dispose();
    if (step % 7 !== 0) output.dispose();
    if (step % 10 === 0) await layer.runningMean!.read();
  }
  const runningMean = Array.from(layer.runningMean!.readSync());
  layer.dispose();
  return { runningMean, lastOutput: Array.from(await lastOutput!) };
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  port.postMessage('started');
  trainCarelessly((workerData as { steps: number }).steps).then((outcome) => port.postMessage(outcome));
}
