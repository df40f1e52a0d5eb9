/** The outcome as text: a table for people, JSON for programs. */

import type { Validation } from '../validate';
import { environmentOf } from './environment';
import type { Outcome, Verdict } from './judge';
import { reproduction, TOLERANCES } from './options';
import type { DifferenceRow, Failure, Row } from './summary';

const MOST_FAILURES = 10;

export const short = (value: number): string => (value === 0 ? '0' : Number.isFinite(value) ? value.toExponential(1) : String(value));
export const places = (ulp: number): string => (ulp < 1e4 ? String(Number(ulp.toPrecision(3))) : short(ulp));
export const share = (value: number): string => (value < 1000 ? value.toFixed(2) : short(value));

const VERDICT_WORDS: Record<Verdict, string> = {
  pass: 'passed',
  fail: 'FAILED',
  error: 'FAILED with an error',
  deviates: 'beyond our tolerance',
  unsupported: 'not supported by cuDNN',
};

/** "600 passed, 8 not supported by cuDNN". */
export function describeVerdicts(counts: Record<Verdict, number>): string {
  return (Object.keys(VERDICT_WORDS) as Verdict[])
    .filter((verdict) => counts[verdict] > 0)
    .map((verdict) => `${counts[verdict]} ${VERDICT_WORDS[verdict]}`)
    .join(', ');
}

export function describe(validation: Validation): string {
  const { options, subjects, summary, leftOut, notCompared, seconds } = validation;
  const overview = subjects.map(({ name, device }) => [name, describeVerdicts(summary.verdicts[name]!), device.description]);
  return [
    '',
    `${summary.cases} problems, seed ${options.seed}, ${seconds.toFixed(1)} s`,
    ...indent(align(overview, 'lll')),
    ...subjects.flatMap(({ name }) => describeSubject(name, summary.rows)),
    ...describeDifferences(summary.differences),
    ...describeList(
      'cuDNN does not support',
      summary.unsupported.map(({ message, cases }) => `${cases.length} problems, such as ${cases[0]}: ${message}`),
    ),
    ...describeList('Not run', leftOut),
    ...describeList(
      'Not compared',
      notCompared.map(({ name, reason }) => `${name}: ${reason}`),
    ),
    '',
    summary.failures.length === 0 ? 'All passed.' : `${summary.failures.length} FAILED.`,
    ...(options.report === undefined ? [] : [`Report: ${options.report}`]),
    '',
  ].join('\n');
}

export const ROW_HEADER = ['quantity', 'dtype', 'problems', 'absolute', 'relative', 'ULP', 'share', 'verdict', 'worst problem'];

export function rowCells({ quantity, dtype, cases, failed, absolute, relative, ulp, share: most, worst, subject }: Row): string[] {
  const verdict = failed === 0 ? 'pass' : `${failed} ${subject.endsWith('cudnn') ? 'beyond' : 'FAIL'}`;
  return [quantity, dtype, String(cases), short(absolute), short(relative), places(ulp), share(most), verdict, worst];
}

function describeSubject(name: string, rows: readonly Row[]): string[] {
  const cells = rows.filter(({ subject }) => subject === name).map(rowCells);
  if (cells.length === 0) return [];
  return [
    '',
    `${name}: greatest errors against float64 (share: of the tolerance; a worst problem runs again by --only NAME)`,
    ...indent(align([ROW_HEADER, ...cells], 'llrrrrrll')),
  ];
}

export const DIFFERENCE_HEADER = ['quantity', 'dtype', 'problems', 'absolute', 'relative', 'ULP'];

export function differenceCells({ quantity, dtype, cases, absolute, relative, ulp }: DifferenceRow): string[] {
  return [quantity, dtype, String(cases), short(absolute), short(relative), places(ulp)];
}

function describeDifferences(rows: readonly DifferenceRow[]): string[] {
  const pairs = [...new Set(rows.map(({ native, reference }) => `${native} and ${reference}`))];
  return pairs.flatMap((pair) => [
    '',
    `${pair}: greatest differences on the same inputs`,
    ...indent(
      align([DIFFERENCE_HEADER, ...rows.filter((row) => `${row.native} and ${row.reference}` === pair).map(differenceCells)], 'llrrrr'),
    ),
  ]);
}

/** What failed, how far off it is, and how to see it again. */
export function describeFailures({ options, summary: { failures } }: Validation): string {
  const shown = failures
    .slice(0, MOST_FAILURES)
    .flatMap(({ case: name, outcome }) => [
      `FAILED ${name} on ${outcome.subject}: ${describeFailure(outcome)}`,
      `  again: ${reproduction(options, name)}`,
    ]);
  const more = failures.length - MOST_FAILURES;
  return [...shown, ...(more > 0 ? [`and ${more} more; --json lists them all`] : []), ''].join('\n');
}

export function describeFailure({ message, measured }: Outcome): string {
  if (message !== undefined) return message;
  return measured
    .filter(({ pass }) => !pass)
    .map(({ quantity, worst }) => {
      const error = short(Math.abs(worst.actual - worst.expected));
      return `${quantity} is ${worst.actual} at element ${worst.index} but should be ${worst.expected}, an error of ${error}, ${share(worst.share)} times the tolerance of ${short(worst.tolerance)}`;
    })
    .join('; ');
}

function describeList(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...indent(lines)];
}

const indent = (lines: readonly string[]): string[] => lines.map((line) => `  ${line}`);

/** Columns as wide as their widest cell; `sides` has l or r for each. */
function align(rows: readonly (readonly string[])[], sides: string): string[] {
  const widths = [...sides].map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) => (sides[column] === 'l' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!));
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

/** Infinities and NaN as strings, for JSON has no numbers for them. */
export function forPrograms({ options, subjects, results, summary, leftOut, notCompared, seconds }: Validation): string {
  const withCommand = ({ case: name, outcome }: Failure) => ({
    case: name,
    subject: outcome.subject,
    what: describeFailure(outcome),
    again: reproduction(options, name),
  });
  const content = {
    environment: environmentOf(subjects),
    options,
    tolerances: TOLERANCES.replaceAll('\n', ' '),
    subjects: subjects.map(({ name }) => name),
    cases: results.map(({ case: { layout, ...one }, outcomes, differences }) => ({
      ...one,
      shape: layout.shape,
      axis: layout.axis,
      outcomes,
      differences,
    })),
    summary: { ...summary, failures: summary.failures.map(withCommand), deviations: summary.deviations.map(withCommand) },
    leftOut,
    notCompared,
    passed: summary.failures.length === 0,
    seconds,
  };
  const replacer = (_key: string, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);
  return `${JSON.stringify(content, replacer, 2)}\n`;
}
