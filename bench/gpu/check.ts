/** That PyTorch does the same work on the same numbers: the first values of an output and of its gradient, in the order of memory. */

import { batchNormBackward, batchNormTraining, Tensor } from '../../lib/index';
import { EPS } from '../cpu/data';
import { disposeAll, type Inputs } from './inputs';
import type { Fused } from './networks';
import { axisOf, type GpuProblem } from './problem';

export interface FirstValues {
  output: number[];
  gradient: number[];
}

const COUNT = 8;
/** Of a value, or of 1: some roundings of bfloat16, which show that nothing else is computed. */
const TOLERANCE = 0.05;

export async function firstValues(
  problem: GpuProblem,
  fused: Fused,
  { input, gradient, residual, weight, bias }: Inputs,
): Promise<FirstValues> {
  const activation = fused === 'none' ? ('identity' as const) : ('relu' as const);
  const options = { weight, bias, eps: EPS, axis: axisOf(problem), activation };
  const pass = batchNormTraining(input, { ...options, residual });
  const gradients = batchNormBackward(gradient, input, { ...options, statistics: pass.statistics, mask: pass.mask });
  const values = { output: await first(pass.output), gradient: await first(gradients.input) };
  disposeAll(pass);
  disposeAll(gradients);
  return values;
}

async function first({ pointer, size, device, dtype }: Tensor): Promise<number[]> {
  using start = Tensor.fromPointer(pointer, [Math.min(COUNT, size)], { device, dtype });
  return [...(await start.read())];
}

/** What differs, in words; null where nothing does. */
export function difference(ours: FirstValues, theirs: FirstValues): string | null {
  const differs = (a: readonly number[], b: readonly number[]) =>
    a.length !== b.length || a.some((value, index) => !(Math.abs(value - b[index]!) <= TOLERANCE * Math.max(1, Math.abs(value))));
  const wrong = (['output', 'gradient'] as const).find((name) => differs(ours[name], theirs[name]));
  if (wrong === undefined) return null;
  return `they compute different things: the ${wrong} of PyTorch begins with ${theirs[wrong].map(short)}, ours with ${ours[wrong].map(short)}`;
}

const short = (value: number): string => value.toPrecision(3);
