/** All that a run found out, as the JSON has it. */

import { EPS } from '../cpu/data';
import { commit, type Machine, machine } from '../cpu/machine';
import type { Contender } from './contender';
import type { Field, LeftOut } from './contenders';
import { type Failure, measure, type Table } from './measure';
import { type BatchDType, DTYPES, type Shape } from './problem';

/** bench/results/README.md tells it to readers. */
export interface Report {
  date: string;
  commit: string | null;
  machine: Machine;
  shape: Shape;
  eps: number;
  implementations: Pick<Contender, 'name' | 'version' | 'note' | 'role'>[];
  leftOut: LeftOut[];
  failures: Failure[];
  tables: Table[];
}

export async function makeReport(
  { contenders, leftOut }: Field,
  shape: Shape,
  onProblem: (dtype: BatchDType, mean: number) => void,
): Promise<Report> {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    machine: machine(),
    shape,
    eps: EPS,
    implementations: contenders.map(({ name, version, note, role }) => ({ name, version, note, role })),
    leftOut,
    ...(await measure(contenders, shape, DTYPES, onProblem)),
  };
}

/** JSON has no infinity: "Infinity" stands for it, where a value is not finite. */
export const toJson = (report: Report): string =>
  `${JSON.stringify(report, (_, value) => (value === Number.POSITIVE_INFINITY ? 'Infinity' : value), 2)}\n`;
