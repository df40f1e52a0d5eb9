/** The problems that are measured, the bytes they must move, and the times to reach. */

export type Operation = 'inference' | 'trainingForward' | 'backward';
export const OPERATIONS: readonly Operation[] = ['inference', 'trainingForward', 'backward'];

export type Layout = 'channels first' | 'channels last';

/** A float32 batch norm of an image batch; `shape` is [N, C, H, W] whatever the layout in memory. */
export interface Problem {
  shape: readonly [number, number, number, number];
  layout: Layout;
}

export const SHAPES: readonly Problem['shape'][] = [
  [32, 64, 56, 56],
  [32, 256, 14, 14],
  [32, 512, 7, 7],
  [8, 64, 112, 112],
];

export function problems(shapes: readonly Problem['shape'][]): Problem[] {
  return shapes.flatMap((shape) => [
    { shape, layout: 'channels first' as const },
    { shape, layout: 'channels last' as const },
  ]);
}

export const problemName = ({ shape, layout }: Problem): string => `[${shape.join(',')}] ${layout}`;

/** The dimensions as they lie in memory. */
export function memoryShape({ shape: [n, c, h, w], layout }: Problem): [number, number, number, number] {
  return layout === 'channels first' ? [n, c, h, w] : [n, h, w, c];
}

export const elements = ({ shape }: Problem): number => shape.reduce((product, size) => product * size, 1);

/** A copy reads and writes the tensor once, and so does a forward pass at best; backward reads two tensors and writes one. */
export const copyBytes = (problem: Problem): number => 2 * 4 * elements(problem);
export const fewestBytes = (problem: Problem, operation: Operation): number => (operation === 'backward' ? 3 : 2) * 4 * elements(problem);

/** The most a call may take, in multiples of a plain copy of the tensor. */
export function target({ layout }: Problem, operation: Operation): number {
  const last = layout === 'channels last';
  return { inference: 1.05, trainingForward: last ? 1.55 : 1.25, backward: last ? 2.5 : 2 }[operation];
}

/** The most that a small step may take from TypeScript beyond its arithmetic, in seconds. */
export const OVERHEAD_TARGET = 15e-6;
