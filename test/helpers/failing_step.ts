/**
 * A worker's program: training steps in which the nth allocation, copy or launch fails, n = 1, 2, …, until one passes. A worker has a
 * device object of its own, so what a device sets up at its first use fails too, and is gone when the worker is.
 */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { BatchNorm, BatchNormError, Tensor } from '../../lib/index';
import { device } from './device';
import { emulator, type Failing } from './emulator';
import { normals } from './random';

const SHAPE = [4, 6, 5, 5];
const COUNT = 4 * 6 * 25;
const [X, RESIDUAL, GRADIENT] = [1, 2, 3].map((seed) => Float32Array.from(normals(COUNT, seed))) as [
  Float32Array,
  Float32Array,
  Float32Array,
];
/** More than any step has: where one still fails then, it fails for another reason. */
const ENOUGH = 200;

export interface FailedStep {
  code: string;
  message: string;
  /** Bytes of the device held by tensors when everything was disposed. */
  held: number;
  /** What the step after it computed. */
  next: number[][];
}

export interface Outcome {
  failed: FailedStep[];
  /** What the first step without a failure computed. */
  passed: number[][];
}

/** Constructs a layer, uploads, runs forward and backward, and reads everything; what it made is disposed however it ends. */
async function step(): Promise<number[][]> {
  using layer = new BatchNorm(6, { device, activation: 'relu' });
  using input = Tensor.from(X, SHAPE, { device });
  using residual = Tensor.from(RESIDUAL, SHAPE, { device });
  using gradient = Tensor.from(GRADIENT, SHAPE, { device });
  using output = layer.forward(input, { residual });
  const gradients = layer.backward(gradient);
  using dx = gradients.input;
  using weight = gradients.weight!;
  using bias = gradients.bias!;
  using dr = gradients.residual!;
  const results: number[][] = [];
  for (const tensor of [output, dx, weight, bias, dr, layer.runningMean!, layer.runningVar!]) results.push([...(await tensor.read())]);
  return results;
}

async function failure(): Promise<{ code: string; message: string } | number[][]> {
  try {
    return await step();
  } catch (error) {
    if (!(error instanceof BatchNormError)) throw error;
    return { code: error.code, message: error.message };
  }
}

async function run(kind: Failing): Promise<Outcome> {
  const failed: FailedStep[] = [];
  while (failed.length < ENOUGH) {
    // An allocation that fails is tried once more when idle memory was given back.
    emulator.fail(kind, failed.length + 1, kind === 'allocation' ? 2 : 1);
    const outcome = await failure();
    emulator.fail(kind, 0);
    if (Array.isArray(outcome)) return { failed, passed: outcome };
    const held = device.memory().live;
    failed.push({ ...outcome, held, next: await step() });
  }
  throw new Error(`step ${ENOUGH} still fails: ${failed.at(-1)!.message}`);
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  run(workerData as Failing).then((outcome) => port.postMessage(outcome));
}
