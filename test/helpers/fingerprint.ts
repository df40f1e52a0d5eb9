/**
 * A program of its own: computes a fixed list of problems and prints what the machine used, a digest of all result bits, and the first
 * result outside its tolerance. Run again under other settings, the digests tell whether the bits depend on them.
 */

import { createHash } from 'node:crypto';
import { Device, type DType } from '../../lib/index';
import type { Activation } from '../oracle';
import { batchStatistics, viewOf } from '../oracle';
import { DTYPES, roundAll } from './dtype';
import { channelsOf, type ParameterDType, runStep } from './layer';
import { normals } from './random';
import { backwardBound, firstOutside, forwardBound, type Pass } from './tolerance';

export interface Fingerprint {
  version: string;
  /** Problem → digest of output, running statistics and gradients. */
  digests: Record<string, string>;
  outside: string[];
}

/** Channels first and last; rows shorter and longer than a vector; fewer channels than threads, and many; cache-sized and not. */
const SHAPES: readonly (readonly [shape: readonly number[], axis: number])[] = [
  [[4, 3, 5], 1],
  [[33, 7], 1],
  [[2, 1, 100, 100], 1],
  [[16, 64, 7, 7], 1],
  [[5, 9, 31, 33], -1],
  [[4, 28, 28, 32], -1],
  [[3000, 17], -1],
  [[3, 200000], 0],
  [[200000, 3], -1],
  [[2, 6000], 1],
];

function setupFor(shape: readonly number[], axis: number, dtype: DType, index: number) {
  const count = shape.reduce((a, b) => a * b, 1);
  const channels = channelsOf(shape, axis);
  const parameterDtype: ParameterDType = dtype === 'float64' ? 'float64' : 'float32';
  const activation: Activation = index % 3 === 0 ? 'silu' : 'identity';
  return {
    shape,
    axis,
    dtype,
    parameterDtype,
    activation,
    x: roundAll(normals(count, index, 2, 3), dtype),
    weight: roundAll(normals(channels, index + 1, 1, 0.3), parameterDtype),
    bias: roundAll(normals(channels, index + 2), parameterDtype),
    residual: index % 2 === 0 ? roundAll(normals(count, index + 3), dtype) : null,
    runningMean: roundAll(normals(channels, index + 4), parameterDtype),
    runningVar: roundAll(normals(channels, index + 5), parameterDtype).map((v) => v * v),
    dy: roundAll(normals(count, index + 6), dtype),
  };
}

export async function fingerprint(): Promise<Fingerprint> {
  const digests: Record<string, string> = {};
  const outside: string[] = [];
  for (const [index, [shape, axis]] of SHAPES.entries()) {
    for (const dtype of DTYPES) {
      for (const training of [true, false]) {
        const name = `[${shape}] axis ${axis} ${dtype} ${training ? 'training' : 'eval'}`;
        const setup = setupFor(shape, axis, dtype, index);
        const step = await runStep({ ...setup, training });
        const gradients = step.gradients!;
        const hash = createHash('sha256');
        const results = [step.output, step.runningMean, step.runningVar, ...Object.values(gradients)];
        for (const values of results) if (values) hash.update(new Uint8Array(values.buffer));
        digests[name] = hash.digest('hex').slice(0, 16);

        const view = viewOf(shape, axis);
        const statistics = training
          ? batchStatistics(setup.x, view)
          : { mean: setup.runningMean, variance: roundAll(setup.runningVar, setup.parameterDtype) };
        const pass: Pass = { x: setup.x, view, statistics, layer: setup, dtype, parameterDtype: setup.parameterDtype };
        const bounds = backwardBound(setup.dy, pass, !training);
        const judged = {
          output: firstOutside(step.output, forwardBound(pass), dtype),
          'gradient of input': firstOutside(gradients.input, bounds.input, dtype),
          'gradient of weight': firstOutside(gradients.weight!, bounds.weight, setup.parameterDtype),
          'gradient of bias': firstOutside(gradients.bias!, bounds.bias, setup.parameterDtype),
        };
        for (const [what, words] of Object.entries(judged)) if (words) outside.push(`${name}: ${what}: ${words}`);
      }
    }
  }
  const version = Device.report().find(({ name }) => name === 'cpu')?.version ?? '';
  return { version, digests, outside };
}

if (require.main === module) fingerprint().then((result) => process.stdout.write(JSON.stringify(result)));
