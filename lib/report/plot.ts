/** Line and bar plots as SVG text: labelled, titled and described for screen readers, coloured by the page's style sheet. */

import { escapeHtml } from './escape';
import { CHARACTER_WIDTH, drawXAxis, drawYAxis, makeFrame, type PlotOptions, px, slot, svg } from './frame';
import { extent, formatNumber, makeScale, type Scale, type ScaleKind } from './scale';
import { PLOT_CSS, themeCss } from './style';

export interface LineSeries {
  /** Shown in the legend. */
  name: string;
  x: readonly number[];
  /** null or a value that is not finite breaks the line. */
  y: readonly (number | null)[];
  /** Areas behind the line, the widest first. */
  bands?: readonly { low: readonly (number | null)[]; high: readonly (number | null)[] }[];
  /** Slot of the palette, 0 to 5; the position in the list when left out. */
  color?: number;
  dashed?: boolean;
}

export interface LinePlotOptions extends PlotOptions {
  xLabel: string;
  xScale?: ScaleKind;
  /** Labels at whole numbers only, where x counts something. */
  wholeX?: boolean;
  /** Labels at these values instead of round ones, where x was set and not measured. */
  xTicks?: readonly number[];
  series: readonly LineSeries[];
  /** false where a legend beside several plots says it once. */
  legend?: boolean;
}

export interface BarSeries {
  name: string;
  /** One per category; null leaves a gap. */
  values: readonly (number | null)[];
  color?: number;
}

export interface BarPlotOptions extends PlotOptions {
  categories: readonly string[];
  series: readonly BarSeries[];
  /** A horizontal line to compare with. */
  reference?: { value: number; label: string };
}

/** Indices of unbroken runs of drawable points. */
function runs(count: number, drawable: (index: number) => boolean): number[][] {
  const found: number[][] = [];
  let current: number[] = [];
  for (let index = 0; index <= count; index++) {
    if (index < count && drawable(index)) {
      current.push(index);
    } else if (current.length > 0) {
      found.push(current);
      current = [];
    }
  }
  return found;
}

function drawSeries(series: LineSeries, color: number, xScale: Scale, yScale: Scale, yKind: ScaleKind): { bands: string; lines: string } {
  const usable = (value: number | null | undefined): value is number =>
    value != null && Number.isFinite(value) && (yKind !== 'log' || value > 0);
  const point = (index: number, values: readonly (number | null)[]) => `${px(xScale(series.x[index]!))} ${px(yScale(values[index]!))}`;
  const bands = (series.bands ?? []).flatMap(({ low, high }) =>
    runs(series.x.length, (index) => usable(low[index]) && usable(high[index])).map((run) => {
      const forth = run.map((index) => point(index, high));
      const back = run.map((index) => point(index, low)).reverse();
      return `<path class="band" fill="${slot(color)}" d="M${[...forth, ...back].join('L')}Z"/>`;
    }),
  );
  const lines = runs(series.x.length, (index) => usable(series.y[index])).map((run) => {
    const points = run.map((index) => point(index, series.y));
    const path = points.length === 1 ? `M${points[0]}h.1` : `M${points.join('L')}`; // a lone point is drawn as a dot
    return `<path class="line${series.dashed ? ' dashed' : ''}" stroke="${slot(color)}" d="${path}"/>`;
  });
  return { bands: bands.join(''), lines: lines.join('') };
}

/** Lines over a numeric axis. Returns an `<svg>` element that takes its colours from the page (see standaloneSvg()). */
export function linePlot(options: LinePlotOptions): string {
  const { series, xScale: xKind = 'linear', yScale: yKind = 'linear' } = options;
  const color = (index: number) => series[index]!.color ?? index;
  const entries = series.map(({ name, dashed }, index) => ({
    name,
    mark: dashed ? ('line dashed' as const) : ('line' as const),
    color: color(index),
  }));
  const { frame, legend } = makeFrame(options, options.legend === false ? [] : entries, 52);
  const ys = series.flatMap(({ y, bands = [] }) => [...y, ...bands.flatMap(({ low, high }) => [...low, ...high])]);
  const xs = series.flatMap(({ x }) => x);
  const xScale = makeScale(xKind, extent(xs, xKind), frame.left, frame.right, options.xTicks);
  const yScale = makeScale(yKind, options.yRange ?? extent(ys, yKind), frame.bottom, frame.top);
  const axes = drawYAxis(yScale, options.yLabel, frame) + drawXAxis(xScale, options.xLabel, frame, options.wholeX ?? false);
  const drawn = series.map((one, index) => drawSeries(one, color(index), xScale, yScale, yKind));
  // All bands before all lines, so that none hides a line.
  const marks = drawn.map(({ bands }) => bands).join('') + drawn.map(({ lines }) => lines).join('');
  return svg(options, frame, legend, axes, marks);
}

/** The value inside the bar's end, or above a bar too low for it. */
function drawBarLabel(x: number, top: number, height: number, text: string): string {
  const inside = height > 22;
  return `<text${inside ? ' class="inside"' : ''} x="${px(x)}" y="${px(inside ? top + 16 : top - 5)}" text-anchor="middle">${text}</text>`;
}

/** Grouped bars, one group per category. Returns an `<svg>` element as linePlot() does. */
export function barPlot(options: BarPlotOptions): string {
  const { series, categories, reference, yScale: yKind = 'linear' } = options;
  const color = (index: number) => series[index]!.color ?? index;
  const entries = series.map(({ name }, index) => ({ name, mark: 'line' as const, color: color(index) }));
  const slanted = categories.some((name) => name.length * CHARACTER_WIDTH > ((options.width ?? 640) - 80) / categories.length);
  const { frame, legend } = makeFrame(options, entries, slanted ? 96 : 32);
  const [low, high] = extent([...series.flatMap(({ values }) => values), reference?.value ?? null], yKind);
  const range = options.yRange ?? (yKind === 'log' ? [low / 1.2, high * 1.1] : [Math.min(0, low), Math.max(0, high * 1.05)]);
  const yScale = makeScale(yKind, range as [number, number], frame.bottom, frame.top);
  const base = yKind === 'log' ? frame.bottom : yScale(0);
  const group = (frame.right - frame.left) / categories.length;
  const bar = (group * 0.8) / series.length;
  const marks = categories.flatMap((category, index) =>
    series.map(({ name, values }, position) => {
      const value = values[index] ?? null;
      if (value === null || !Number.isFinite(value)) return '';
      const x = frame.left + index * group + group * 0.1 + position * bar;
      const y = yScale(value);
      const height = Math.abs(base - y);
      const label = bar < 32 ? '' : drawBarLabel(x + bar * 0.46, Math.min(y, base), height, formatNumber(value));
      const hint = `<title>${escapeHtml(`${category}, ${name}: ${formatNumber(value)}`)}</title>`;
      const place = `x="${px(x)}" y="${px(Math.min(y, base))}" width="${px(bar * 0.92)}" height="${px(height)}"`;
      return `<rect fill="${slot(color(position))}" ${place}>${hint}</rect>${label}`;
    }),
  );
  if (reference) {
    const y = px(yScale(reference.value));
    marks.push(`<path class="reference" d="M${frame.left} ${y}H${frame.right}"/>`);
    marks.push(`<text x="${frame.right}" y="${px(yScale(reference.value) - 5)}" text-anchor="end">${escapeHtml(reference.label)}</text>`);
  }
  const labels = categories.map((name, index) => {
    const x = px(frame.left + (index + 0.5) * group);
    const place = slanted
      ? `transform="translate(${x} ${frame.bottom + 14}) rotate(-35)" text-anchor="end"`
      : `x="${x}" y="${frame.bottom + 18}" text-anchor="middle"`;
    return `<text ${place}>${escapeHtml(name)}</text>`;
  });
  const axes = `${drawYAxis(yScale, options.yLabel, frame)}<path class="axis" d="M${frame.left} ${px(base)}H${frame.right}"/>${labels.join('')}`;
  return svg(options, frame, legend, axes, marks.join(''));
}

/** The plot with a style sheet of its own, to be kept as a file. */
export function standaloneSvg(plot: string): string {
  const style = `<style>${themeCss(':root')}${PLOT_CSS}.plot{background:var(--surface)}</style>`;
  return `${plot.replace(/<title>/, `${style}<title>`)}\n`;
}
