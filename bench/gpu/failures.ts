/** Who could not do what: each reason once, with how often it was given and where first. */

import { OURS } from './contenders';

export interface Failure {
  contender: string;
  reason: string;
  count: number;
  first: string;
}

/** Told of everything that does not work; the work goes on. */
export type OnFailure = (contender: string, error: unknown, where: string) => void;

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Ours alone, beside another, as a graph, or with everybody. */
export const isOfOurs = ({ contender }: Failure): boolean => contender === 'all' || contender.startsWith(OURS);

export const collectIn =
  (failures: Failure[]): OnFailure =>
  (contender, error, where) => {
    const reason = reasonOf(error);
    const known = failures.find((one) => one.contender === contender && one.reason === reason);
    if (known) known.count += 1;
    else failures.push({ contender, reason, count: 1, first: where });
  };
