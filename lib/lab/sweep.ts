/** What two networks, with and without batch norm, reach over a range of settings. */

import { combinations, type Lab } from './lab';
import { median } from './statistics';

/** Of its own best accuracy: what a setting must reach to be of use to a network. */
const OF_OWN_BEST = 0.9;
/** Of the best of both: what it must reach besides, so that a network which never learns has no setting of use. */
const OF_BEST = 0.5;

/** In words, for criteria. */
export const USABLE = `usable: the median accuracy is at least ${OF_OWN_BEST} of the network's own best, and ${OF_BEST} of the best of both`;

export interface Sweep {
  settings: readonly number[];
  /** Accuracy by repeat and setting. */
  plain: readonly (readonly number[])[];
  normalized: readonly (readonly number[])[];
}

/** What is measured with and without batch norm, by repeat and setting. */
export async function measureSweep<R>(
  lab: Lab,
  repeats: readonly number[],
  settings: readonly number[],
  measure: (batchNorm: boolean, repeat: number, setting: number) => R,
): Promise<{ plain: R[][]; normalized: R[][] }> {
  const runs = combinations(combinations([false, true], repeats), settings);
  const results = await lab.each(runs, ([[batchNorm, repeat], setting]) => measure(batchNorm, repeat, setting));
  const rows = (from: number) => repeats.map((_, row) => results.slice((from + row) * settings.length, (from + row + 1) * settings.length));
  return { plain: rows(0), normalized: rows(repeats.length) };
}

export interface Reached {
  /** Median accuracy by setting. */
  medians: readonly number[];
  best: number;
  usable: readonly boolean[];
}

export function compare({ settings, plain, normalized }: Sweep): { without: Reached; within: Reached } {
  const medians = (repeats: Sweep['plain']) => settings.map((_, index) => median(repeats.map((one) => one[index]!)));
  const all = [medians(plain), medians(normalized)];
  const bestOfBoth = Math.max(...all.flat());
  const [without, within] = all.map((accuracies) => {
    const best = Math.max(...accuracies);
    const least = Math.max(OF_OWN_BEST * best, OF_BEST * bestOfBoth);
    return { medians: accuracies, best, usable: accuracies.map((accuracy) => accuracy >= least) };
  });
  return { without: without!, within: within! };
}

/** The greatest usable setting; 0 where there is none. */
export function greatestUsable(settings: readonly number[], { usable }: Reached): number {
  return settings.reduce((most, setting, index) => (usable[index] ? setting : most), 0);
}
