/** What predictions lead to: problem by problem, the way that they would choose beside the one that was measured to be best. */

import type { Point } from './measure';

export interface Decision extends Pick<Point, 'problem' | 'operation'> {
  best: Pick<Point, 'choice' | 'seconds'>;
  chosen: Pick<Point, 'choice' | 'seconds'>;
  /** The chosen one's time over the best one's, less 1. */
  regret: number;
}

/** Among the ways that were measured. */
export function decisionsOf(points: readonly Point[], predicted: readonly number[]): Decision[] {
  const groups = new Map<string, [Point, number][]>();
  points.forEach((point, i) => {
    const key = JSON.stringify([point.problem, point.operation]);
    groups.set(key, [...(groups.get(key) ?? []), [point, predicted[i]!]]);
  });
  return [...groups.values()].map((ways) => {
    const [best] = ways.reduce((least, way) => (way[0].seconds < least[0].seconds ? way : least));
    const [chosen] = ways.reduce((least, way) => (way[1] < least[1] ? way : least));
    const { problem, operation } = best;
    return { problem, operation, best: timed(best), chosen: timed(chosen), regret: chosen.seconds / best.seconds - 1 };
  });
}

const timed = ({ choice, seconds }: Point) => ({ choice, seconds });

interface Outcome {
  decisions: { before: readonly Decision[]; after: readonly Decision[] };
}

/** Throws where the plans became worse, whatever the constants explain. */
export function checkGain({ decisions: { before, after } }: Outcome): void {
  const [was, is] = [meanRegret(before), meanRegret(after)];
  if (is <= was) return;
  const percent = (regret: number) => `${(100 * regret).toFixed(2)} %`;
  throw new Error(
    `Expected plans that take no longer than before but with these constants they take ${percent(is)} longer than the best, instead of ` +
      `${percent(was)}: the row is not written, unless with --force`,
  );
}

export const meanRegret = (decisions: readonly Decision[]): number =>
  decisions.reduce((sum, { regret }) => sum + regret, 0) / decisions.length;
