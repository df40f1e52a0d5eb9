/** The measurements as one SVG drawing: grouped bars per operation, in multiples of a plain copy. */

import { barPlot, standaloneSvg } from '../../lib/report';
import type { ProblemResult } from './measure';
import { OPERATIONS, type Operation } from './problem';
import { OPERATION_NAMES } from './table';

export const WIDTH = 1200;
export const HEIGHT = 320;

function operationPlot(operation: Operation, results: readonly ProblemResult[], implementations: readonly string[]): string | null {
  const copies = (problem: ProblemResult, implementation: string) =>
    problem.results.find((one) => one.operation === operation && one.implementation === implementation)?.copies ?? null;
  const series = implementations
    .map((name, color) => ({ name, color, values: results.map((problem) => copies(problem, name)) }))
    .filter(({ values }) => values.some((value) => value !== null));
  if (series.length === 0) return null;
  const highest = Math.max(...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const name = OPERATION_NAMES[operation];
  return barPlot({
    title: `${name[0]!.toUpperCase()}${name.slice(1)}, time in multiples of a plain copy of the tensor`,
    description: `Grouped bars on a logarithmic axis, one group per shape and layout, one bar per implementation. Lower is better.`,
    yLabel: '× copy (log)',
    yScale: 'log',
    yRange: [0.5, Math.max(10, highest * 1.2)],
    categories: results.map(({ shape, layout }) => `${shape.join('×')} ${layout === 'channels first' ? 'first' : 'last'}`),
    series,
    reference: { value: 1, label: '' },
    width: WIDTH,
    height: HEIGHT,
  });
}

export function plot(results: readonly ProblemResult[], implementations: readonly string[]): string {
  const panels = OPERATIONS.flatMap((operation) => operationPlot(operation, results, implementations) ?? []);
  return stack(panels, 'Batch normalization on the CPU');
}

/** Plots of WIDTH and HEIGHT as one drawing, one below the other. */
export function stack(panels: readonly string[], title: string): string {
  const placed = panels.map((panel, index) => `<g transform="translate(0 ${index * HEIGHT})">${panel}</g>`);
  const height = panels.length * HEIGHT;
  return standaloneSvg(
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"><title>${title}</title>${placed.join('\n')}</svg>`,
  );
}
