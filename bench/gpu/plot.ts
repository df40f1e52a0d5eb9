/** Bars: the whole steps, and each shape, in multiples of the floor. */

import { barPlot } from '../../lib/report';
import { HEIGHT, stack, WIDTH } from '../cpu/plot';
import { OPERATIONS, type Operation } from '../cpu/problem';
import { OPERATION_NAMES } from '../cpu/table';
import { floorSeconds, ratioOf, SIDES, type Side, secondsOf } from './compare';
import type { Sum } from './headline';
import type { ProblemResult } from './measure';

/** Of each side, one value per category. */
type Values = (side: Side) => (number | null)[];

const layoutName = (layout: string): string => layout.replace('channels ', '');
const capital = (text: string): string => `${text[0]!.toUpperCase()}${text.slice(1)}`;

function bars(title: string, groups: string, categories: readonly string[], values: Values): string {
  const series = SIDES.map((name, color) => ({ name, color, values: values(name) })).filter((one) => one.values.some(Number.isFinite));
  const highest = Math.max(2, ...series.flatMap((one) => one.values.map((value) => value ?? 0)));
  return barPlot({
    title,
    description: `Grouped bars, one group per ${groups}, one bar per implementation. Lower is better; 1 is a copy of the fewest bytes.`,
    yLabel: '× floor',
    yRange: [0, highest * 1.1],
    categories,
    series,
    reference: { value: 1, label: '' },
    width: WIDTH,
    height: HEIGHT,
  });
}

const stepOf = ({ network, fusion }: Sum): string => `${network}, ${fusion}`;

function stepPanel(step: string, sums: readonly Sum[]): string {
  const shown = sums.filter((sum) => stepOf(sum) === step);
  const categories = shown.map(({ batch, layout, dtype }) => `${batch} ${layoutName(layout)} ${dtype}`);
  return bars(`All batch norms of a training step, ${step}, cold L2: time in multiples of the floor`, 'step', categories, (side) =>
    shown.map(({ seconds }) => ratioOf(seconds[side], seconds.floor)),
  );
}

const settingOf = ({ network, shape, dtype }: ProblemResult): string => `${network}, batch ${shape[0]}, ${dtype}`;

function shapesPanel(setting: string, operation: Operation, problems: readonly ProblemResult[]): string[] {
  const shown = problems.flatMap((problem) => {
    const cell = problem.cells.find((one) => one.operation === operation && one.fused === 'none' && one.cache === 'cold');
    return cell ? { name: `${problem.shape.slice(1).join('×')} ${layoutName(problem.layout)}`, cell } : [];
  });
  if (shown.length === 0) return [];
  const title = `${capital(OPERATION_NAMES[operation])}, ${setting}, cold L2: time in multiples of the floor`;
  return [
    bars(
      title,
      'shape and layout',
      shown.map(({ name }) => name),
      (side) => shown.map(({ cell }) => ratioOf(secondsOf(cell, side), floorSeconds(cell))),
    ),
  ];
}

export function barPlots({ headline, problems }: { headline: readonly Sum[]; problems: readonly ProblemResult[] }): string {
  const sums = headline.filter(({ cache }) => cache === 'cold');
  const steps = [...new Set(sums.map(stepOf))].map((step) => stepPanel(step, sums));
  const settings = [...new Set(problems.map(settingOf))];
  const panels = settings.flatMap((setting) => {
    const own = problems.filter((problem) => settingOf(problem) === setting);
    return OPERATIONS.flatMap((operation) => shapesPanel(setting, operation, own));
  });
  return stack([...steps, ...panels], 'Batch normalization on the GPU');
}
