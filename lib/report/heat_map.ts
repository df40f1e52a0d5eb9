/** Heat maps as HTML tables: each cell has its number in words, and a colour for the eye. */

import { escapeHtml } from './escape';

export interface HeatMapOptions {
  caption: string;
  columns: readonly string[];
  /** null where there is nothing to show. */
  rows: readonly { name: string; values: readonly (number | null)[] }[];
  /** Limits of the colours, ascending; what is above the last one stands out. At most five. */
  limits: readonly number[];
  format: (value: number) => string;
}

export function heatMap({ caption, columns, rows, limits, format }: HeatMapOptions): string {
  const level = (value: number) => limits.findIndex((limit) => value <= limit);
  const style = (value: number) => (level(value) < 0 ? 'beyond' : `heat${level(value)}`);
  const cell = (value: number | null) => (value === null ? '<td>–</td>' : `<td class="${style(value)}">${escapeHtml(format(value))}</td>`);
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const body = rows.map(({ name, values }) => `<tr><th scope="row">${escapeHtml(name)}</th>${values.map(cell).join('')}</tr>`);
  const key = [
    ...limits.map((limit, index) => `<span class="heat${index}">≤ ${escapeHtml(format(limit))}</span>`),
    `<span class="beyond">&gt; ${escapeHtml(format(limits.at(-1)!))}</span>`,
  ];
  return [
    `<div class="scroll"><table class="heat"><caption>${escapeHtml(caption)}</caption><thead><tr><td></td>${head}</tr></thead>`,
    `<tbody>${body.join('\n')}</tbody></table></div><p class="key">${key.join(' ')}</p>`,
  ].join('\n');
}

export const HEAT_MAP_CSS = [
  'table.heat{border-collapse:separate;border-spacing:2px}',
  '.heat th,.heat td{border:0;padding:4px 10px}',
  '.heat th:first-child{padding-left:0}',
  '.heat td{text-align:center;min-width:64px;border-radius:4px;color:var(--muted)}',
  '.heat thead th{text-align:center}',
  '.key{font-size:13px}',
  '.key span{display:inline-block;padding:1px 10px;border-radius:4px;margin:0 2px 4px 0}',
  ...[4, 14, 26, 38, 50].map(
    (percent, level) =>
      `td.heat${level},.key .heat${level}{background:color-mix(in srgb,var(--c0) ${percent}%,var(--surface));color:var(--ink)}`,
  ),
  'td.beyond,.key .beyond{background:color-mix(in srgb,var(--c1) 55%,var(--surface));color:var(--ink);font-weight:700}',
].join('');
