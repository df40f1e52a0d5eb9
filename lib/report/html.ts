/** Pages of one file: no script, no font, no image from elsewhere; light and dark; readable without the plots. */

import { escapeHtml } from './escape';
import { HEAT_MAP_CSS } from './heat_map';
import { PLOT_CSS, themeCss } from './style';

const PAGE_CSS = [
  '*{box-sizing:border-box}',
  'body{margin:0;background:var(--surface);color:var(--ink);font:16px/1.55 system-ui,sans-serif}',
  'main{max-width:1080px;margin:0 auto;padding:40px 20px 80px}',
  'h1{font-size:30px;line-height:1.2;margin:0 0 12px}',
  'h2{font-size:21px;margin:48px 0 8px;padding-top:16px;border-top:1px solid var(--grid)}',
  'p{max-width:70ch;margin:8px 0}',
  'p.lead{font-size:18px;color:var(--muted)}',
  'figure{margin:20px 0}',
  'figcaption{color:var(--muted);font-size:14px;max-width:80ch;margin-top:6px}',
  '.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:14px}',
  '.plot{display:block;width:100%;height:auto;background:var(--raised);border-radius:10px;padding:8px}',
  'figure>.plot{max-width:640px}',
  '.scroll{overflow-x:auto}',
  'table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;margin:12px 0}',
  'caption{text-align:left;color:var(--muted);padding-bottom:6px}',
  'th,td{padding:5px 16px 5px 0;border-bottom:1px solid var(--grid);text-align:right}',
  'th:first-child,td:first-child{text-align:left;font-weight:500}',
  'table:not(.words) td{white-space:nowrap}',
  '.words th,.words td{text-align:left;vertical-align:top}',
  'thead th{color:var(--muted);font-weight:500}',
  'summary{cursor:pointer;color:var(--muted);font-size:14px}',
  'code{background:var(--raised);padding:1px 5px;border-radius:4px;font-size:.92em}',
].join('');

/** A whole document; `body` is HTML, the rest plain text. */
export function page({ title, lead, body }: { title: string; lead: string; body: string }): string {
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${themeCss(':root')}${PLOT_CSS}${PAGE_CSS}${HEAT_MAP_CSS}</style></head>`,
    `<body><main><h1>${escapeHtml(title)}</h1><p class="lead">${escapeHtml(lead)}</p>`,
    body,
    '</main></body></html>',
    '',
  ].join('\n');
}

/** A heading and what follows it; `html` is HTML. */
export function section(heading: string, ...html: string[]): string {
  return `<section><h2>${escapeHtml(heading)}</h2>\n${html.join('\n')}\n</section>`;
}

/** A paragraph of plain text. */
export function paragraph(text: string): string {
  return `<p>${escapeHtml(text)}</p>`;
}

/** One or several plots under one caption, with their numbers folded away below. */
export function figure(plots: readonly string[], caption: string, numbers?: string): string {
  const drawing = plots.length === 1 ? plots[0] : `<div class="panels">${plots.join('\n')}</div>`;
  const folded = numbers === undefined ? '' : details('The numbers as a table', numbers);
  return `<figure>${drawing}<figcaption>${escapeHtml(caption)}</figcaption>${folded}</figure>`;
}

/** HTML that is folded away until its summary, plain text, is clicked. */
export function details(summary: string, html: string): string {
  return `<details><summary>${escapeHtml(summary)}</summary>${html}</details>`;
}

/** A table with a header row; the first column names the row. All cells are plain text. */
export function table({
  caption,
  columns,
  rows,
  words = false,
}: {
  caption: string;
  columns: readonly string[];
  rows: readonly (readonly string[])[];
  /** The cells are words, aligned left, and not numbers. */
  words?: boolean;
}): string {
  const head = columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const body = rows.map(([name = '', ...cells]) => {
    const data = cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('');
    return `<tr><th scope="row">${escapeHtml(name)}</th>${data}</tr>`;
  });
  return `<div class="scroll"><table${words ? ' class="words"' : ''}><caption>${escapeHtml(caption)}</caption><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}
