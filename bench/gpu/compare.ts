/** Ours beside the others and beside the floor, by medians. */

import { OURS } from './contenders';
import type { Cell, Time } from './measure';
import { COMPILED, EAGER } from './pytorch';

/** Who is compared: cuDNN's modes count as one, by the best of them. */
export const SIDES = ['ours', 'cuDNN', EAGER, COMPILED] as const;
export type Side = (typeof SIDES)[number];

const isOf = (side: Side, contender: string): boolean => (side === 'cuDNN' ? contender.startsWith('cuDNN') : contender === side);

const best = (times: readonly Time[]): Time | null =>
  times.reduce<Time | null>((found, time) => (found === null || time.seconds.median < found.seconds.median ? time : found), null);

/** Null where that side has no time. */
export const secondsOf = ({ times }: Pick<Cell, 'times'>, side: Side): number | null =>
  best(times.filter(({ contender }) => isOf(side, contender)))?.seconds.median ?? null;

export const bestRival = ({ times }: Pick<Cell, 'times'>): Time | null => best(times.filter(({ contender }) => contender !== OURS));

/** What a copy of the fewest bytes takes. */
export const floorSeconds = ({ copySeconds }: Pick<Cell, 'copySeconds'>): number => copySeconds.median;

/** Null where one of the two is missing. */
export const ratioOf = (seconds: number | null, to: number | null | undefined): number | null =>
  seconds === null || to == null ? null : seconds / to;

export const overRival = (cell: Cell): number | null => ratioOf(secondsOf(cell, 'ours'), bestRival(cell)?.seconds.median);
export const overFloor = (cell: Cell): number | null => ratioOf(secondsOf(cell, 'ours'), floorSeconds(cell));

/** Of the values that are there; null where none is. */
export function geometricMean(values: readonly (number | null)[]): number | null {
  const there = values.filter((value) => value !== null);
  return there.length === 0 ? null : Math.exp(there.reduce((sum, value) => sum + Math.log(value), 0) / there.length);
}
