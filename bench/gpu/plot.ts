/** The measurements as one SVG drawing: per operation and cache, bars in multiples of a copy of the same bytes. */

import { barPlot } from '../../lib/report';
import { HEIGHT, stack, WIDTH } from '../cpu/plot';
import { OPERATIONS, type Operation } from '../cpu/problem';
import { OPERATION_NAMES } from '../cpu/table';
import { CACHES, type Cache, type ProblemResult } from './measure';
import { DTYPES } from './problem';

const category = ({ shape, layout }: ProblemResult): string => `${shape.join('×')} ${layout === 'channels first' ? 'first' : 'last'}`;

function panel(operation: Operation, cache: Cache, problems: readonly ProblemResult[]): string {
  const categories = [...new Set(problems.map(category))];
  const copies = (dtype: string, name: string): number | null => {
    const problem = problems.find((one) => one.dtype === dtype && category(one) === name);
    const result = problem?.results.find((one) => one.operation === operation && one.cache === cache);
    return result && Number.isFinite(result.copies) ? result.copies : null;
  };
  const series = DTYPES.map((dtype, color) => ({ name: dtype, color, values: categories.map((name) => copies(dtype, name)) }));
  const highest = Math.max(2, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const name = OPERATION_NAMES[operation];
  return barPlot({
    title: `${name[0]!.toUpperCase()}${name.slice(1)}, ${cache} L2: time in multiples of a copy of the same bytes`,
    description: 'Grouped bars, one group per shape and layout, one bar per element type. Lower is better.',
    yLabel: '× copy',
    yRange: [0, highest * 1.1],
    categories,
    series: series.filter(({ values }) => values.some((value) => value !== null)),
    reference: { value: 1, label: '' },
    width: WIDTH,
    height: HEIGHT,
  });
}

export const plot = (problems: readonly ProblemResult[]): string =>
  stack(
    OPERATIONS.flatMap((operation) => CACHES.map((cache) => panel(operation, cache, problems))),
    'Batch normalization on the GPU',
  );
