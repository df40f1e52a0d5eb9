/** The plots of the guides, drawn from what was measured and committed. */

import { barPlot, standaloneSvg } from '../../lib/report';
import type { Row, Table } from '../accuracy/measure';
import type { Report as AccuracyReport } from '../accuracy/report';
import { meanName, rowName } from '../accuracy/table';
import { plot } from '../cpu/plot';
import type { Report as SpeedReport } from '../cpu/report';
import { newestResult } from '../newest_result';

/** In the order, and thereby the colours, of the plot. */
const SPEED = ['cuda-batchnorm', 'floor', 'PyTorch', 'onnxruntime-node', 'TensorFlow.js wasm'];

/** As colours are in the plot of speed; whose layouts differ has one for each. */
const COLORS: readonly [implementation: RegExp, layouts: Record<string, number>][] = [
  [/^ours, cpu/, { 'channels first': 0, 'channels last': 5 }],
  [/^PyTorch CPU/, { 'channels first': 2, 'channels last': 3 }],
  [/^TensorFlow\.js/, { 'channels last': 4 }],
  [/^one rounded mean/, { 'channels first': 1 }],
];

function colorOf({ implementation, layout }: Row): number | undefined {
  return COLORS.find(([pattern]) => pattern.test(implementation))?.[1][layout];
}

function accuracyPlot({ rows, means }: Table, title: string): string {
  const series = rows.flatMap((row) => {
    const color = colorOf(row);
    return color === undefined ? [] : [{ name: rowName(row), values: row.errors, color }];
  });
  const bars = barPlot({
    title,
    description: 'Grouped bars on a logarithmic axis, one group per mean of the data, one bar per implementation. Lower is better.',
    yLabel: 'error (log)',
    yScale: 'log',
    categories: means.map((mean) => `mean ${meanName(mean)}`),
    series,
    width: 720,
    height: 380,
  });
  return standaloneSvg(bars);
}

/** The SVG of each plot, by the name of its file. */
export function guidePlots(): Record<string, string> {
  const accuracy = newestResult<AccuracyReport>('-accuracy.json');
  const tableOf = (quantity: string) => accuracy.tables.find((table) => table.dtype === 'float32' && table.quantity === quantity)!;
  return {
    'accuracy_output.svg': accuracyPlot(tableOf('output'), 'Greatest error of the output in training, float32, deviation 1'),
    'accuracy_dx.svg': accuracyPlot(tableOf('dx'), "Greatest error of the input's gradient, float32, deviation 1"),
    'speed.svg': plot(newestResult<SpeedReport>('-threads.json').problems, SPEED),
  };
}
