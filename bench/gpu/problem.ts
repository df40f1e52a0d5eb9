/** What is measured: batch norms of a shape, a layout and a type, alone and with what is fused to them. */

import type { DType } from '../../lib/index';
import type { Layout, Operation } from '../cpu/problem';
import { type Fused, type Layers, type Network, totalCount } from './networks';

export const DTYPES = ['float32', 'float16', 'bfloat16'] as const satisfies readonly DType[];
export type GpuDType = (typeof DTYPES)[number];
export const LAYOUTS: readonly Layout[] = ['channels first', 'channels last'];

/** A shape as a network has it; `shape` is [N, C, ...spatial] whatever the layout in memory. */
export interface GpuProblem {
  network: string;
  shape: readonly number[];
  layout: Layout;
  dtype: GpuDType;
}

export const product = (sizes: readonly number[]): number => sizes.reduce((result, size) => result * size, 1);

export const channelsOf = ({ shape }: GpuProblem): number => shape[1]!;

/** The dimensions as they lie in memory. */
export function memoryShape({ shape: [n, c, ...spatial], layout }: GpuProblem): number[] {
  return layout === 'channels first' ? [n!, c!, ...spatial] : [n!, ...spatial, c!];
}

export const axisOf = ({ layout }: GpuProblem): number => (layout === 'channels first' ? 1 : -1);

export const shapeOf = ({ channels, spatial, batch: own }: Layers, batch: number): number[] => [own ?? batch, channels, ...spatial];

/** A network's problems of one batch, those first that move most in it. Without spatial dimensions both layouts are the same. */
export function problemsOf({ name, layers }: Network, batch: number, layout: Layout, dtype: GpuDType): GpuProblem[] {
  return layers
    .filter(({ spatial }) => layout === 'channels first' || product(spatial) > 1)
    .map((one) => ({ shape: shapeOf(one, batch), count: totalCount(one) }))
    .sort((a, b) => b.count * product(b.shape) - a.count * product(a.shape))
    .map(({ shape }) => ({ network: name, shape, layout, dtype }));
}

export const problemName = ({ network, shape, layout, dtype }: GpuProblem): string => `${network} [${shape.join(',')}] ${layout} ${dtype}`;

/** For messages: a problem and what is done with it. */
export const caseName = (problem: GpuProblem, operation: Operation, fused: Fused): string =>
  `${problemName(problem)}, ${operation}${fused === 'none' ? '' : ` with ${fused}`}`;

const bytesPerElement = (dtype: GpuDType): number => (dtype === 'float32' ? 4 : 2);

export const tensorBytes = ({ shape, dtype }: GpuProblem): number => product(shape) * bytesPerElement(dtype);

/**
 * The fewest bytes that an operation moves: forward reads a tensor and writes one, backward reads two and writes one. A residual is one
 * more to read, and in backward one more gradient to write; what it did to the sign is a bit per element, written and read.
 */
export function fewestBytes(problem: GpuProblem, operation: Operation, fused: Fused): number {
  const added = fused === 'add+relu';
  const tensors = (operation === 'backward' ? 3 : 2) + (added ? 1 : 0);
  const mask = added && operation !== 'inference' ? Math.ceil(product(problem.shape) / 8) : 0;
  return tensors * tensorBytes(problem) + mask;
}
