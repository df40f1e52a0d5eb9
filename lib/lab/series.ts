/** Lines of plots over repeats. */

import type { LineSeries } from '../report';
import { median } from './statistics';

/** The palette's slots for what most experiments compare. */
export const WITH = 0;
export const WITHOUT = 1;

/** The median of the repeats as a line, and from the least to the greatest as a band. `repeats` has one list per repeat, of one value per x. */
export function overRepeats(
  name: string,
  x: readonly number[],
  repeats: readonly (readonly number[])[],
  look: { color?: number; dashed?: boolean } = {},
): LineSeries {
  const at = (index: number) => repeats.map((one) => one[index] ?? Number.NaN);
  const low = x.map((_, index) => Math.min(...at(index)));
  const high = x.map((_, index) => Math.max(...at(index)));
  return { name, x, y: x.map((_, index) => median(at(index))), bands: repeats.length > 1 ? [{ low, high }] : [], ...look };
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A difference of shares, in percentage points. */
export const points = (difference: number): string => `${(100 * difference).toFixed(1).replace('-', '−')} points`;
