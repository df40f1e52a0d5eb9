/** What came out of the tuning: how well the constants explain the times, and what plans they lead to. */

import { alignColumns, microseconds, OPERATION_NAMES } from '../../cpu/table';
import { problemName } from '../problem';
import { CONSTANTS, inWords, newRow } from './constants';
import { meanRegret } from './decisions';
import { directConstants } from './direct';
import type { Recording } from './recording';
import type { Tuned } from './tune';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

export const commentOf = ({ gpu, date }: Tuned): string => `${gpu}, measured ${date.slice(0, 10)}`;

export const rowOf = (tuned: Tuned): string => newRow(...tuned.capability, tuned.constants.after, commentOf(tuned));

function summary({ error, decisions: { before, after } }: Tuned): string[] {
  return alignColumns(
    [
      ['', 'before', 'after'],
      ['predictions are off by', percent(error.before), percent(error.after)],
      ['plans take longer than the best by', percent(meanRegret(before)), percent(meanRegret(after))],
      ['and at most by', percent(Math.max(...before.map(({ regret }) => regret))), percent(Math.max(...after.map(({ regret }) => regret)))],
    ],
    1,
  );
}

function constantsTable({ constants: { before, after }, direct }: Tuned): string[] {
  const measured = directConstants(direct);
  const rows = CONSTANTS.map((name) => [name, name in measured ? 'measured' : 'fitted', inWords(before[name]), inWords(after[name])]);
  return alignColumns([['constant', '', 'before', 'after'], ...rows], 2);
}

function decisionsTable({ decisions: { before, after } }: Tuned): string[] {
  const rows = after.map(({ problem, operation, best, chosen, regret }, i) => [
    `${problemName(problem)}, ${OPERATION_NAMES[operation]}`,
    best.choice,
    chosen.choice === best.choice ? 'the same' : chosen.choice,
    microseconds(best.seconds),
    percent(before[i]!.regret),
    percent(regret),
  ]);
  return alignColumns([['problem', 'measured to be best', 'chosen now', 'best µs', 'longer before', 'now'], ...rows], 3);
}

/** What the recording lacks. */
export function shortfalls({ failures, leftOut }: Recording): string[] {
  const [first] = failures;
  const where = first && [problemName(first.problem), first.choice].filter(Boolean).join(', ');
  return [
    ...(first ? [`Not measured, because it failed: ${failures.length}, first ${where}: ${first.reason}`] : []),
    ...(leftOut.length > 0 ? [`Not measured, because there was no time left: ${leftOut.join('; ')}`] : []),
  ];
}

export const describe = (tuned: Tuned): string =>
  [
    `${tuned.gpu}: ${tuned.points.length} times of different plans, measured ${tuned.date.slice(0, 10)}`,
    ...decisionsTable(tuned),
    '',
    ...constantsTable(tuned),
    '',
    ...summary(tuned),
    '',
    rowOf(tuned),
  ].join('\n');
