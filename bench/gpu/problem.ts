/** The problems that are measured on a GPU: ResNet-50's batch norms in all its layouts and types. */

import type { DType } from '../../lib/index';
import { elements, problems as inBothLayouts, type Operation, type Problem, problemName } from '../cpu/problem';

export const DTYPES = ['float32', 'float16', 'bfloat16'] as const satisfies readonly DType[];

export interface GpuProblem extends Problem {
  dtype: (typeof DTYPES)[number];
}

export const SHAPES: readonly Problem['shape'][] = [
  [32, 64, 112, 112],
  [32, 64, 56, 56],
  [32, 256, 56, 56],
  [32, 128, 28, 28],
  [32, 512, 28, 28],
  [32, 256, 14, 14],
  [32, 1024, 14, 14],
  [32, 512, 7, 7],
  [32, 2048, 7, 7],
];

/** To rehearse with: some thousand elements, with whole vectors and with odd ends. */
export const TINY_SHAPES: readonly Problem['shape'][] = [
  [2, 4, 6, 6],
  [2, 3, 5, 5],
];

export const problems = (shapes: readonly Problem['shape'][], dtypes: readonly GpuProblem['dtype'][]): GpuProblem[] =>
  inBothLayouts(shapes).flatMap((problem) => dtypes.map((dtype) => ({ ...problem, dtype })));

export const gpuProblemName = (problem: GpuProblem): string => `${problemName(problem)} ${problem.dtype}`;

const bytesPerElement = (dtype: GpuProblem['dtype']): number => (dtype === 'float32' ? 4 : 2);

/** The fewest bytes that an operation moves: forward reads a tensor and writes one, backward reads two. */
export const fewestBytes = (problem: GpuProblem, operation: Operation): number =>
  (operation === 'backward' ? 3 : 2) * elements(problem) * bytesPerElement(problem.dtype);
