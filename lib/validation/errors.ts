/** How far results lie from what they should be, in four measures. */

import type { DType } from '../dtype';
import { largest, lastPlace } from './number_format';
import type { Values } from './oracle';
import { type Bound, lastBit } from './tolerance';

/** The greatest of each, over all elements. Infinite where one of both is infinite or NaN and the other is not the same. */
export interface Errors {
  absolute: number;
  /** Over the elements whose reference is not zero. */
  relative: number;
  /** In units of the reference's last place in the dtype. Near zero, where a unit is tiny, it says little. */
  ulp: number;
}

/** The element whose error takes the greatest share of its tolerance. */
export interface Worst {
  index: number;
  actual: number;
  expected: number;
  /** Of the arithmetic, before the last rounding. */
  tolerance: number;
  /** The least error before the last rounding that explains the element, over the tolerance: above 1 it is wrong. */
  share: number;
}

export function errorsOf(actual: Values, expected: Values, dtype: DType): Errors {
  checkLengths(actual, expected);
  const errors = { absolute: 0, relative: 0, ulp: 0 };
  for (let i = 0; i < actual.length; i++) {
    const distance = distanceOf(actual[i]!, expected[i]!);
    if (distance === 0) continue;
    const magnitude = Math.abs(expected[i]!);
    errors.absolute = Math.max(errors.absolute, distance);
    if (magnitude !== 0) errors.relative = Math.max(errors.relative, Number.isFinite(distance) ? distance / magnitude : Infinity);
    errors.ulp = Math.max(errors.ulp, Number.isFinite(distance) ? distance / lastPlace(magnitude, dtype) : Infinity);
  }
  return errors;
}

export function worstOf(actual: Values, bound: Bound, dtype: DType): Worst {
  checkLengths(actual, bound.expected);
  let worst = { index: -1, actual: 0, expected: 0, tolerance: 0, share: -1 };
  for (let index = 0; index < actual.length; index++) {
    const expected = bound.expected[index]!;
    const tolerance = bound.tolerance[index]! + lastBit(dtype);
    const before = errorBeforeRounding(actual[index]!, expected, dtype);
    const share = shareOf(before, tolerance);
    if (share > worst.share) worst = { index, actual: actual[index]!, expected, tolerance, share };
  }
  return worst;
}

/** An error whose tolerance is no number, or that is infinite as its tolerance is, is none that is allowed. */
function shareOf(error: number, tolerance: number): number {
  if (error === 0) return 0;
  const share = error / tolerance;
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

function checkLengths(actual: Values, expected: Values): void {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values came instead of ${expected.length}`);
}

function distanceOf(actual: number, expected: number): number {
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return 0;
  const distance = Math.abs(actual - expected);
  return Number.isNaN(distance) ? Infinity : distance;
}

/** How far from `expected` the nearest value lies that is stored as `actual`. */
function errorBeforeRounding(actual: number, expected: number, dtype: DType): number {
  const distance = distanceOf(actual, expected);
  if (distance === 0 || !Number.isFinite(expected) || Number.isNaN(actual)) return distance;
  if (!Number.isFinite(actual)) {
    const overflow = largest(dtype) + lastPlace(largest(dtype), dtype) / 2;
    return Math.max(0, overflow - Math.sign(actual) * expected);
  }
  const magnitude = Math.abs(actual);
  const place = lastPlace(magnitude, dtype);
  const towardsZero = actual > 0 ? expected < actual : expected > actual;
  // Just below a power of two numbers lie closer.
  const step = towardsZero ? lastPlace(magnitude - place / 2, dtype) : place;
  return Math.max(0, distance - step / 2);
}
