/** The numbers every contender in this process works on. */

import type { Problem } from './problem';
import { elements } from './problem';

/** Uniform values in [-√3, √3): mean 0, deviation 1, the same for the same seed. */
export function randomValues(count: number, seed: number): Float32Array {
  const values = new Float32Array(count);
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 32 - 0.5) * Math.sqrt(12);
  }
  return values;
}

export interface Parameters {
  mean: Float32Array;
  variance: Float32Array;
  weight: Float32Array;
  bias: Float32Array;
}

export const EPS = 1e-5;

export const inputOf = (problem: Problem): Float32Array => randomValues(elements(problem), 1);
export const gradientOf = (problem: Problem): Float32Array => randomValues(elements(problem), 2);

export function parametersOf({ shape: [, channels] }: Problem): Parameters {
  return {
    mean: randomValues(channels, 3),
    variance: randomValues(channels, 4).map((value) => 1 + value * value),
    weight: randomValues(channels, 5),
    bias: randomValues(channels, 6),
  };
}
