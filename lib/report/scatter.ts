/** Scatter plots as SVG text: what two ways of computing the same give, point by point. */

import { drawXAxis, drawYAxis, makeFrame, type PlotOptions, px, slot, svg } from './frame';
import { extent, makeScale, type ScaleKind } from './scale';

export interface ScatterSeries {
  /** Shown in the legend. */
  name: string;
  x: readonly number[];
  y: readonly number[];
  /** Slot of the palette, 0 to 5; the position in the list when left out. */
  color?: number;
}

export interface ScatterPlotOptions extends PlotOptions {
  xLabel: string;
  xScale?: ScaleKind;
  series: readonly ScatterSeries[];
  /** Drawn as lines, in the order of their points. */
  lines?: readonly ScatterSeries[];
  /** Both axes have the same range, and a line goes where x and y are equal. */
  diagonal?: boolean;
}

/** Dots and lines; what is not finite, or has no logarithm where one is asked for, is left out. Returns an `<svg>` element as linePlot() does. */
export function scatterPlot(options: ScatterPlotOptions): string {
  const { series, lines = [], xScale: xKind = 'linear', yScale: yKind = 'linear', diagonal = false } = options;
  const all = [...series, ...lines];
  const color = (index: number) => all[index]!.color ?? index;
  const mark = (index: number) => (index < series.length ? ('dots' as const) : ('line' as const));
  const entries = all.map(({ name }, index) => ({ name, mark: mark(index), color: color(index) }));
  const { frame, legend } = makeFrame(options, entries, 52);
  const xs = all.flatMap(({ x }) => x);
  const ys = all.flatMap(({ y }) => y);
  const xRange = extent(diagonal ? [...xs, ...ys] : xs, xKind);
  const yRange = diagonal ? xRange : (options.yRange ?? extent(ys, yKind));
  const xScale = makeScale(xKind, xRange, frame.left + 6, frame.right - 6);
  const yScale = makeScale(yKind, yRange, frame.bottom - 6, frame.top + 6);
  const equal = diagonal
    ? `<path class="reference" d="M${px(xScale(xRange[0]))} ${px(yScale(xRange[0]))}L${px(xScale(xRange[1]))} ${px(yScale(xRange[1]))}"/>`
    : '';
  const usable = (value: number, kind: ScaleKind) => Number.isFinite(value) && (kind !== 'log' || value > 0);
  const marks = all.map(({ x, y }, index) => {
    const drawable = x.flatMap((value, k) => (usable(value, xKind) && usable(y[k]!, yKind) ? [[value, y[k]!] as const] : []));
    const points = drawable.map(([left, up]) => `${px(xScale(left))} ${px(yScale(up))}`);
    if (points.length === 0) return '';
    const path = mark(index) === 'dots' ? points.map((point) => `M${point}h.1`).join('') : `M${points.join('L')}`;
    return `<path class="${mark(index)}" stroke="${slot(color(index))}" d="${path}"/>`;
  });
  const axes = drawYAxis(yScale, options.yLabel, frame) + drawXAxis(xScale, options.xLabel, frame, false);
  return svg(options, frame, legend, axes, equal + marks.join(''));
}
