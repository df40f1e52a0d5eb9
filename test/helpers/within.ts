/** Results held against what they should be, with words for the first that is off. */

import type { DType } from '../../lib/index';
import { lastPlace } from '../../lib/validation/number_format';
import { type Bound, isWithin } from '../../lib/validation/tolerance';

/** The same allowance everywhere, for values the reference did not compute. */
export function within(expected: ArrayLike<number>, absolute: number, relative = 0): Bound {
  return { expected, tolerance: Float64Array.from(expected, (v) => absolute + relative * Math.abs(v)) };
}

/** The first element outside its bound, in words; null when there is none. */
export function firstOutside(actual: ArrayLike<number>, { expected, tolerance }: Bound, dtype: DType): string | null {
  if (actual.length !== expected.length) return `${actual.length} values instead of ${expected.length}`;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    const t = tolerance[i]!;
    if (isWithin(a, e, t, dtype)) continue;
    const places = (Math.abs(a - e) / lastPlace(e, dtype)).toFixed(1);
    return `element ${i} is ${a} but should be ${e}, an error of ${places} units in the last place of ${dtype} where ${(t / lastPlace(e, dtype)).toFixed(1)} and a rounding are allowed`;
  }
  return null;
}

export function expectWithin(actual: ArrayLike<number>, bound: Bound, dtype: DType, what: string): void {
  const outside = firstOutside(actual, bound, dtype);
  if (outside !== null) throw new Error(`${what}: ${outside}`);
}

/** Equal element by element, NaN to NaN, telling the first that is not. */
export function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} values instead of ${expected.length}`);
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (a !== e && !(Number.isNaN(a) && Number.isNaN(e))) throw new Error(`${what}: element ${i} is ${a} but should be ${e}`);
  }
}
