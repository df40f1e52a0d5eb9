/** The training steps that are computed: normally distributed data of deviation 1 about means at which careless formulas fail. */

import { Random } from '../../lib/random';
import { roundAll } from '../../lib/validation/number_format';
import type { Layout, Problem as Shaped } from '../cpu/problem';

export type Shape = Shaped['shape'];

export const DTYPES = ['float32', 'float16', 'bfloat16'] as const;
export type BatchDType = (typeof DTYPES)[number];

/** One batch and the gradient of its output: [N, C, H, W] in that order, of numbers that the dtype has. γ is 1 and β is 0. */
export interface Problem {
  dtype: BatchDType;
  mean: number;
  shape: Shape;
  x: Float32Array;
  dy: Float32Array;
}

export const SHAPE: Shape = [32, 16, 28, 28];
export const QUICK_SHAPE: Shape = [4, 16, 28, 28];

/** At the greatest of each, neighbouring numbers of the type still lie closer than the deviation. */
export const MEANS: Record<BatchDType, readonly number[]> = {
  float32: [0, 1e3, 1e5, 1e6],
  float16: [0, 10, 100],
  bfloat16: [0, 10, 100],
};

/** Rounded to the dtype after the mean was added: what a contender gets has no error. */
export function makeProblem(dtype: BatchDType, mean: number, shape: Shape): Problem {
  const random = new Random(1);
  const count = shape.reduce((product, size) => product * size, 1);
  const draw = (center: number) => {
    const values = Float64Array.from({ length: count }, () => center + random.normal());
    return Float32Array.from(roundAll(values, dtype));
  };
  return { dtype, mean, shape, x: draw(mean), dy: draw(0) };
}

/** From the order of [N, C, H, W] to that of the layout. */
export function toLayout(values: Float32Array, [n, c, h, w]: Shape, layout: Layout): Float32Array {
  return layout === 'channels first' ? values : transposed(values, n, c, h * w);
}

/** And back. */
export function fromLayout(values: Float32Array, [n, c, h, w]: Shape, layout: Layout): Float32Array {
  return layout === 'channels first' ? values : transposed(values, n, h * w, c);
}

/** Of every image the transpose, rows × columns to columns × rows. */
function transposed(values: Float32Array, images: number, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let image = 0; image < images; image++) {
    const start = image * rows * columns;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        result[start + column * rows + row] = values[start + row * columns + column]!;
      }
    }
  }
  return result;
}
