/** What came of all problems together, by backend, quantity and dtype. */

import type { DType } from '../../dtype';
import type { Errors } from '../../validation/errors';
import type { CaseResult, Difference, Measured, Outcome, Verdict } from './judge';
import { isFailure } from './judge';
import { QUANTITIES, type Quantity } from './reference';

/** The greatest errors of one quantity of one backend in one dtype. */
export interface Row extends Errors {
  subject: string;
  quantity: Quantity;
  dtype: DType;
  cases: number;
  failed: number;
  /** Greatest error over its tolerance, and the problem it is of. */
  share: number;
  worst: string;
}

/** The greatest differences of ours from cuDNN. */
export interface DifferenceRow extends Errors {
  native: string;
  reference: string;
  quantity: Quantity;
  dtype: DType;
  cases: number;
}

export interface Failure {
  case: string;
  outcome: Outcome;
}

export interface Summary {
  cases: number;
  /** How many problems ended how, by backend. */
  verdicts: Record<string, Record<Verdict, number>>;
  rows: Row[];
  differences: DifferenceRow[];
  failures: Failure[];
  /** What cuDNN refused: its words, and the problems they are about. */
  unsupported: { subject: string; message: string; cases: string[] }[];
  /** Where cuDNN is beyond our tolerances. */
  deviations: Failure[];
}

export function summarize(results: readonly CaseResult[]): Summary {
  const outcomes = results.flatMap(({ case: { name }, outcomes }) => outcomes.map((outcome) => ({ case: name, outcome })));
  return {
    cases: results.length,
    verdicts: countVerdicts(outcomes.map(({ outcome }) => outcome)),
    rows: makeRows(outcomes),
    differences: makeDifferenceRows(results.flatMap(({ differences }) => differences)),
    failures: outcomes.filter(({ outcome }) => isFailure(outcome)),
    unsupported: groupRefusals(outcomes),
    deviations: outcomes.filter(({ outcome }) => outcome.verdict === 'deviates'),
  };
}

function countVerdicts(outcomes: readonly Outcome[]): Summary['verdicts'] {
  const counts: Summary['verdicts'] = {};
  for (const { subject, verdict } of outcomes) {
    counts[subject] ??= { pass: 0, fail: 0, deviates: 0, unsupported: 0, error: 0 };
    counts[subject][verdict]++;
  }
  return counts;
}

function makeRows(outcomes: readonly Failure[]): Row[] {
  const measured = outcomes.flatMap(({ case: name, outcome }) =>
    outcome.measured.map((one) => ({ ...one, name, subject: outcome.subject })),
  );
  const groups = groupBy(measured, ({ subject, quantity, dtype }) => `${subject} ${quantity} ${dtype}`);
  return inOrder(
    groups.map((group) => {
      const worst = worstMeasured(group);
      const { subject, quantity, dtype, name } = worst;
      const failed = group.filter(({ pass }) => !pass).length;
      return { subject, quantity, dtype, cases: group.length, failed, ...greatest(group), share: worst.worst.share, worst: name };
    }),
  );
}

function makeDifferenceRows(differences: readonly Difference[]): DifferenceRow[] {
  const groups = groupBy(differences, ({ native, reference, quantity, dtype }) => `${native} ${reference} ${quantity} ${dtype}`);
  return inOrder(groups.map((group) => ({ ...group[0]!, cases: group.length, ...greatest(group) })));
}

export function worstMeasured<T extends Measured>(measured: readonly T[]): T {
  return measured.reduce((worst, one) => (one.worst.share > worst.worst.share ? one : worst));
}

function greatest(errors: readonly Errors[]): Errors {
  const most = (key: keyof Errors) => errors.reduce((value, one) => Math.max(value, one[key]), 0);
  return { absolute: most('absolute'), relative: most('relative'), ulp: most('ulp') };
}

function groupRefusals(outcomes: readonly Failure[]): Summary['unsupported'] {
  const refused = outcomes.filter(({ outcome }) => outcome.verdict === 'unsupported');
  return groupBy(refused, ({ outcome }) => `${outcome.subject} ${outcome.message}`).map((group) => ({
    subject: group[0]!.outcome.subject,
    message: group[0]!.outcome.message ?? '',
    cases: group.map(({ case: name }) => name),
  }));
}

/** Groups in the order in which their first members came. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()];
}

/** A backend's rows together, as the backends came; quantities in their order. */
function inOrder<T extends { quantity: Quantity; subject?: string; native?: string }>(rows: readonly T[]): T[] {
  return groupBy(rows, ({ subject, native }) => subject ?? native ?? '').flatMap((group) =>
    QUANTITIES.flatMap((quantity) => group.filter((row) => row.quantity === quantity)),
  );
}
