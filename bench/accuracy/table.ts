/** The tables as text for a terminal. */

import { alignColumns } from '../cpu/table';
import type { Comparison } from './compare';
import { MEASURE_WORDS, type Measure, type Quantity } from './errors';
import type { Row, Table } from './measure';

const QUANTITY_WORDS: Record<Quantity, string> = {
  output: 'training output',
  dx: 'gradient of the input, dx',
  dγ: 'gradient of the weight, dγ',
  dβ: 'gradient of the bias, dβ',
};

export const meanName = (mean: number): string => (mean < 1000 ? String(mean) : mean.toExponential(0).replace('+', ''));

export function errorText(error: number | null, measure: Measure): string {
  if (error === null) return '–';
  if (!Number.isFinite(error)) return 'not finite';
  if (measure === 'share not nearest') return `${Number((100 * error).toPrecision(2))} %`;
  if (error === 0) return '0';
  return error >= 0.1 && error < 100 ? error.toPrecision(2) : error.toExponential(1);
}

/** How a row is called: the yardstick is the same in every layout. */
export const rowName = ({ implementation, layout, role }: Row): string =>
  role === 'yardstick' ? implementation : `${implementation}, ${layout}`;

export function tableText(table: Table): string {
  const { dtype, quantity, measure, means, target, rows } = table;
  const lines = alignColumns(
    [
      ['  mean', ...means.map(meanName), target === undefined ? '' : 'target'],
      ...rows.map((row) => [
        `  ${rowName(row)}`,
        ...row.errors.map((error) => errorText(error, measure)),
        row.met === undefined ? '' : `${target!.toExponential()} ${row.met ? 'met' : 'MISSED'}`,
      ]),
    ],
    1,
  );
  return [`${dtype}, ${QUANTITY_WORDS[quantity]}: ${MEASURE_WORDS[measure]}`, ...lines, ...verdict(table)].join('\n');
}

/** How ours does against the best rival of the same layout, device by device; where it is worse, with the figures. */
function verdict({ rows, comparisons, measure }: Table): string[] {
  const devices = new Set(rows.filter(({ role }) => role === 'ours').map(({ implementation }) => implementation));
  return [...devices].flatMap((device) => {
    const all = comparisons.filter(({ ours }) => ours === device);
    if (all.length === 0) return [`  ${device}: no rival took part`];
    const count = (which: Comparison['verdict']) => all.filter(({ verdict }) => verdict === which).length;
    const layouts = [...new Set(all.map(({ layout }) => layout))].join(' and ');
    return [
      `  ${device}, against the best rival, ${layouts}: better ${count('better')}, equal ${count('equal')}, worse ${count('worse')} of ${all.length}`,
      ...all
        .filter(({ verdict }) => verdict === 'worse')
        .map(
          ({ layout, mean, error, rival, rivalError }) =>
            `    worse: ${layout}, mean ${meanName(mean)}: ${errorText(error, measure)}, ${rival} ${errorText(rivalError, measure)}`,
        ),
    ];
  });
}
