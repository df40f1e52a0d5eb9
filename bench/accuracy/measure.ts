/** Runs every contender on every problem, and lays what they did wrong out in tables. */

import type { Layout } from '../cpu/problem';
import { type Comparison, compare } from './compare';
import type { Contender, Role } from './contender';
import { aspectsOf, type Expectation, errorOf, expectationOf, type Measure, type Quantity } from './errors';
import { type BatchDType, MEANS, makeProblem, type Problem, type Shape } from './problem';

/** The most that our training output may be off in float32. */
export const TARGET = 2e-6;

export interface Row {
  implementation: string;
  layout: Layout;
  role: Role;
  /** One per mean; null where there was no answer. */
  errors: (number | null)[];
  /** Of ours, in the table with a target. */
  met?: boolean;
}

/** One quantity of one dtype in one measure: contenders by means. */
export interface Table {
  dtype: BatchDType;
  quantity: Quantity;
  measure: Measure;
  means: readonly number[];
  target?: number;
  rows: Row[];
  comparisons: Comparison[];
}

/** A step that a library refused, or gave up. */
export interface Failure {
  implementation: string;
  layout: Layout;
  dtype: BatchDType;
  mean: number;
  reason: string;
}

export interface Measured {
  tables: Table[];
  failures: Failure[];
}

export async function measure(
  contenders: readonly Contender[],
  shape: Shape,
  dtypes: readonly BatchDType[],
  onProblem: (dtype: BatchDType, mean: number) => void,
): Promise<Measured> {
  const measured: Measured = { tables: [], failures: [] };
  for (const dtype of dtypes) {
    const tables = emptyTables(dtype, contenders);
    for (const mean of MEANS[dtype]) {
      onProblem(dtype, mean);
      measured.failures.push(...(await measureProblem(makeProblem(dtype, mean, shape), contenders, tables)));
    }
    measured.tables.push(...tables.map(judged));
  }
  return measured;
}

function emptyTables(dtype: BatchDType, contenders: readonly Contender[]): Table[] {
  return aspectsOf(dtype).map((aspect) => ({
    dtype,
    ...aspect,
    means: MEANS[dtype],
    rows: entriesOf(contenders, dtype).map(({ contender: { name, role }, layout }) => ({ implementation: name, layout, role, errors: [] })),
    comparisons: [],
  }));
}

const entriesOf = (contenders: readonly Contender[], dtype: BatchDType): { contender: Contender; layout: Layout }[] =>
  contenders
    .filter(({ dtypes }) => dtypes.includes(dtype))
    .flatMap((contender) => contender.layouts.map((layout) => ({ contender, layout })));

/** Appends a column to every table. */
async function measureProblem(problem: Problem, contenders: readonly Contender[], tables: readonly Table[]): Promise<Failure[]> {
  const expectation: Expectation = expectationOf(problem);
  const failures: Failure[] = [];
  for (const [row, { contender, layout }] of entriesOf(contenders, problem.dtype).entries()) {
    const step = await contender.step(problem, layout).catch((error: unknown) => {
      if (contender.role === 'ours') throw error;
      const { dtype, mean } = problem;
      failures.push({
        implementation: contender.name,
        layout,
        dtype,
        mean,
        reason: error instanceof Error ? error.message : String(error),
      });
      return null;
    });
    for (const { quantity, measure, rows } of tables) {
      rows[row]!.errors.push(step && errorOf(quantity, measure, step, expectation));
    }
  }
  return failures;
}

function judged(table: Table): Table {
  const comparisons = compare(table);
  if (table.dtype !== 'float32' || table.quantity !== 'output') return { ...table, comparisons };
  const rows = table.rows.map((row) => (row.role === 'ours' ? { ...row, met: row.errors.every((error) => error! <= TARGET) } : row));
  return { ...table, target: TARGET, rows, comparisons };
}
