/** What came out of the tuning: how well the constants explain the times, and what plans they lead to. */

import { alignColumns } from '../../cpu/table';
import { type Constants, newRow } from './constants';
import type { Point } from './measure';

export interface Tuned {
  date: string;
  gpu: string;
  capability: readonly [major: number, minor: number];
  points: Point[];
  before: Constants;
  after: Constants;
  /** The mean factor, less 1, by which predictions were and are off. */
  error: { before: number; after: number };
  /** Of each problem: the measured time of the way that is predicted to be best, over that of the best. */
  regret: { before: number; after: number };
}

/** The mean over problems of the time of the way that is predicted to be best, over the least that was measured, less 1. */
export function regretOf(points: readonly Point[], predicted: readonly number[]): number {
  const groups = new Map<string, { seconds: number; predicted: number }[]>();
  points.forEach(({ problem, operation, seconds }, i) => {
    const key = JSON.stringify([problem, operation]);
    groups.set(key, [...(groups.get(key) ?? []), { seconds, predicted: predicted[i]! }]);
  });
  const regrets = [...groups.values()].map((ways) => {
    const chosen = ways.reduce((best, one) => (one.predicted < best.predicted ? one : best));
    return chosen.seconds / Math.min(...ways.map(({ seconds }) => seconds)) - 1;
  });
  return regrets.reduce((sum, one) => sum + one, 0) / regrets.length;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export const commentOf = ({ gpu, date }: Tuned): string => `${gpu}, measured ${date.slice(0, 10)}`;

export const rowOf = (tuned: Tuned): string => newRow(...tuned.capability, tuned.after, commentOf(tuned));

export const describe = (tuned: Tuned): string =>
  [
    `${tuned.gpu}: ${tuned.points.length} times of different plans`,
    ...alignColumns(
      [
        ['', 'before', 'after'],
        ['predictions are off by', percent(tuned.error.before), percent(tuned.error.after)],
        ['plans take longer than the best by', percent(tuned.regret.before), percent(tuned.regret.after)],
      ],
      1,
    ),
    '',
    rowOf(tuned),
  ].join('\n');
