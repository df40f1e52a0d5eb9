/** What goes into a problem, from its name and a seed: ordinary data, and data that a careless formula gets wrong. */

import type { DType, ParameterDType } from '../../dtype';
import { round, roundAll } from '../../validation/number_format';
import { batchStatistics, forEachOfChannel, type View, viewOf } from '../../validation/oracle';
import { keepOffKinks, type Pass } from '../../validation/tolerance';
import { Random } from '../../random';
import type { Case } from './cases';

export const DATA_KINDS = ['ordinary', 'huge-mean', 'tiny-variance', 'constant-channel', 'outliers', 'extremes'] as const;
export type DataKind = (typeof DATA_KINDS)[number];

/** What each kind is, for people. */
export const DATA_WORDS: Record<DataKind, string> = {
  ordinary: 'mean 2, deviation 3',
  'huge-mean': 'a mean of many deviations: 1e5 in float32, 1e9 in float64, 250 in float16, 60 in bfloat16',
  'tiny-variance': 'a variance far below eps; in float16 of denormals',
  'constant-channel': 'every other channel is one value',
  outliers: 'one value of each channel far out: by 1e6 deviations in float32, 1e9 in float64, 3e4 in float16, 1e6 in bfloat16',
  extremes:
    "channels of the type's largest numbers (in float16 up to ±65504; else those whose squares still have a sum) and of its smallest",
};

/** All float64 arrays of numbers that the dtype has; a pass of the reference, with the statistics that it uses. */
export interface Inputs {
  pass: Pass;
  weight: Float64Array;
  bias: Float64Array;
  residual: Float64Array | null;
  /** Before training; given in inference. */
  runningMean: Float64Array;
  runningVariance: Float64Array;
  /** Gradient of the output; zero where the activation has a kink within rounding. */
  dy: Float64Array;
}

interface Scales {
  mean: number;
  deviation: number;
  tiny: number;
  outlier: number;
  largest: number;
  smallest: number;
}

const SCALES: Record<DType, Scales> = {
  float32: { mean: 1e5, deviation: 1, tiny: 1e-12, outlier: 1e6, largest: 1e18, smallest: 1e-30 },
  float64: { mean: 1e9, deviation: 1, tiny: 1e-30, outlier: 1e9, largest: 1e150, smallest: 1e-150 },
  float16: { mean: 1000, deviation: 4, tiny: 1e-6, outlier: 3e4, largest: 65504, smallest: 1e-6 },
  bfloat16: { mean: 1000, deviation: 16, tiny: 1e-12, outlier: 1e6, largest: 1e18, smallest: 1e-30 },
};

export function parameterDTypeOf(dtype: DType): ParameterDType {
  return dtype === 'float64' ? 'float64' : 'float32';
}

export function makeInputs(problem: Case, seed: number): Inputs {
  const { layout, dtype, activation, operation, eps } = problem;
  const parameterDtype = parameterDTypeOf(dtype);
  const random = new Random(seedOf(problem.name, seed));
  const view = viewOf(layout.shape, layout.axis);
  const count = view.outer * view.channels * view.inner;
  const values = (length: number, mean: number, deviation: number) =>
    Float64Array.from({ length }, () => mean + deviation * random.normal());

  const x = roundAll(makeData(problem, view, random), dtype);
  const weight = roundAll(values(view.channels, 1, 0.3), parameterDtype);
  const bias = roundAll(values(view.channels, 0, 1), parameterDtype);
  const residual = problem.residual ? roundAll(values(count, 0, 1), dtype) : null;
  const batch = batchStatistics(x, view);
  const ofBatch = operation === 'training' || operation === 'backward';
  // Training begins with statistics of whatever; inference is given those of such data.
  const runningMean = ofBatch ? values(view.channels, 0, 1) : batch.mean;
  const runningVariance = ofBatch ? values(view.channels, 0, 1).map((v) => 0.5 + v * v) : Float64Array.from(batch.variance, (v) => 1.1 * v);
  const running = { mean: roundAll(runningMean, parameterDtype), variance: roundAll(runningVariance, parameterDtype) };
  const pass: Pass = {
    x,
    view,
    statistics: ofBatch ? batch : running,
    layer: { weight, bias, residual, activation, eps },
    dtype,
    parameterDtype,
  };
  const dy = keepOffKinks(roundAll(values(count, 0, 1), dtype), pass);
  return { pass, weight, bias, residual, runningMean: running.mean, runningVariance: running.variance, dy };
}

function makeData({ data, dtype }: Case, view: View, random: Random): Float64Array {
  const { mean, deviation, tiny, outlier, largest, smallest } = SCALES[dtype];
  const x = new Float64Array(view.outer * view.channels * view.inner);
  for (let channel = 0; channel < view.channels; channel++) {
    const odd = channel % 2 === 1;
    const sign = odd ? -1 : 1;
    const level = random.normal();
    const scale = odd ? smallest : largest;
    const draw: Record<DataKind, () => number> = {
      ordinary: () => 2 + 3 * random.normal(),
      'huge-mean': () => sign * mean + deviation * random.normal(),
      'tiny-variance': () => tiny * random.normal(),
      'constant-channel': () => (odd ? random.normal() : level),
      outliers: () => random.normal(),
      extremes: () => random.uniform(-scale, scale),
    };
    const places: number[] = [];
    forEachOfChannel(view, channel, (index) => {
      x[index] = round(draw[data](), dtype);
      places.push(index);
    });
    if (data === 'outliers') x[places[Math.floor(random.uniform(0, places.length))]!] = sign * outlier;
  }
  return x;
}

/** FNV-1a of the name, mixed with the seed: problems have data of their own, the same in whatever company they run. */
function seedOf(name: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return hash >>> 0;
}
