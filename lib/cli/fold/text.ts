/** What fold has done, in words. */

import { list, printable } from './pairs';

export interface FoldResult {
  input: string;
  output: string;
  folded: { layer: string; batchNorm: string; shape: readonly number[]; dtype: string }[];
  /** Batch norms that are still in the file. */
  remaining: string[];
}

export function describe({ output, folded, remaining }: FoldResult): string {
  const rows = [
    ['layer', 'weight', 'dtype', 'batch norm'],
    ...folded.map(({ layer, shape, dtype, batchNorm }) => [printable(layer), `[${shape.join(', ')}]`, dtype, printable(batchNorm)]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`);
  const rest = remaining.length === 0 ? 'No batch norm remains.' : `Batch norms that remain: ${list(remaining)}.`;
  const count = `${folded.length} batch norm${folded.length === 1 ? '' : 's'} folded`;
  return [...lines, '', `${count}, ${output} written. ${rest}`, ''].join('\n');
}
