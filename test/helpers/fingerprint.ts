/**
 * A program of its own: computes a fixed list of problems and prints what the machine used, a digest of all result bits and, with
 * FINGERPRINT_JUDGED set, the results outside their tolerance. Run again under other settings, the digests tell whether the bits
 * depend on them.
 */

import { createHash } from 'node:crypto';
import type { DType } from '../../lib/index';
import { DTYPES, roundAll } from '../../lib/validation/number_format';
import { type Activation, batchStatistics, viewOf } from '../../lib/validation/oracle';
import { backwardBound, forwardBound, type Pass } from '../../lib/validation/tolerance';
import { backendVersion } from './device';
import { channelsOf, type ParameterDType, runStep, type Step } from './layer';
import { normals } from './random';
import { firstOutside } from './within';

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
  [[2, 140000], 0],
  [[90000, 3], -1],
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
    runningVar: roundAll(
      normals(channels, index + 5).map((v) => v * v),
      parameterDtype,
    ),
    dy: roundAll(normals(count, index + 6), dtype),
  };
}

function judge(setup: ReturnType<typeof setupFor>, training: boolean, { output, gradients }: Step): string[] {
  const { x, shape, axis, dtype, parameterDtype } = setup;
  const view = viewOf(shape, axis);
  const given = { mean: setup.runningMean, variance: setup.runningVar };
  const pass: Pass = { x, view, statistics: training ? batchStatistics(x, view) : given, layer: setup, dtype, parameterDtype };
  const bounds = backwardBound(setup.dy, pass, !training);
  const verdicts = {
    output: firstOutside(output, forwardBound(pass), dtype),
    'gradient of input': firstOutside(gradients!.input, bounds.input, dtype),
    'gradient of weight': firstOutside(gradients!.weight!, bounds.weight, parameterDtype),
    'gradient of bias': firstOutside(gradients!.bias!, bounds.bias, parameterDtype),
  };
  return Object.entries(verdicts).flatMap(([what, words]) => (words ? [`${what}: ${words}`] : []));
}

export async function fingerprint(): Promise<Fingerprint> {
  const digests: Record<string, string> = {};
  const outside: string[] = [];
  for (const [index, [shape, axis]] of SHAPES.entries()) {
    for (const dtype of DTYPES) {
      const setup = setupFor(shape, axis, dtype, index);
      for (const training of [true, false]) {
        const name = `[${shape}] axis ${axis} ${dtype} ${training ? 'training' : 'eval'}`;
        const step = await runStep({ ...setup, training });
        const gradients = step.gradients!;
        const hash = createHash('sha256');
        const results = [step.output, step.runningMean, step.runningVar, ...Object.values(gradients)];
        for (const values of results) if (values) hash.update(new Uint8Array(values.buffer));
        digests[name] = hash.digest('hex').slice(0, 16);

        if (process.env.FINGERPRINT_JUDGED) outside.push(...judge(setup, training, step).map((words) => `${name}: ${words}`));
      }
    }
  }
  return { version: backendVersion(), digests, outside };
}

if (require.main === module) fingerprint().then((result) => process.stdout.write(JSON.stringify(result)));
