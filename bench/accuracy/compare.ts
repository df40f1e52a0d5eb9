/** Ours beside the best rival, cell by cell: whoever is better is said to be. */

import type { Layout } from '../cpu/problem';
import type { Row, Table } from './measure';

export interface Comparison {
  ours: string;
  layout: Layout;
  mean: number;
  error: number;
  /** The one with the smallest error among the rivals of the same layout. */
  rival: string;
  rivalError: number;
  verdict: 'better' | 'equal' | 'worse';
}

export function compare(table: Pick<Table, 'means' | 'rows'>): Comparison[] {
  return table.rows
    .filter(({ role }) => role === 'ours')
    .flatMap(({ implementation, layout, errors }) =>
      table.means.flatMap((mean, column) => {
        const error = errors[column]!;
        const best = bestRival(table.rows, layout, column);
        return best ? [{ ours: implementation, layout, mean, error, ...best, verdict: judge(error, best.rivalError) }] : [];
      }),
    );
}

function bestRival(rows: readonly Row[], layout: Layout, column: number): Pick<Comparison, 'rival' | 'rivalError'> | undefined {
  return rows
    .filter((row) => row.role === 'rival' && row.layout === layout && row.errors[column] !== null)
    .map(({ implementation, errors }) => ({ rival: implementation, rivalError: errors[column]! }))
    .sort((a, b) => a.rivalError - b.rivalError)[0];
}

function judge(error: number, rivalError: number): Comparison['verdict'] {
  if (error === rivalError) return 'equal';
  return error < rivalError ? 'better' : 'worse';
}
