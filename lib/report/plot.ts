/** Line and bar plots as SVG text: labelled, titled and described for screen readers, coloured by the page's style sheet. */

import { escapeHtml } from './escape';
import { extent, formatNumber, makeScale, type Scale, type ScaleKind } from './scale';
import { PLOT_CSS, SERIES_COLORS, themeCss } from './style';

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

interface PlotOptions {
  title: string;
  /** One or two sentences that say what is seen, for who cannot see it. */
  description: string;
  yLabel: string;
  yScale?: ScaleKind;
  /** Taken from the data when left out. */
  yRange?: readonly [number, number];
  /** In pixels; 640 × 360. */
  width?: number;
  height?: number;
}

export interface LinePlotOptions extends PlotOptions {
  xLabel: string;
  xScale?: ScaleKind;
  /** Labels at whole numbers only, where x counts something. */
  wholeX?: boolean;
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

interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

interface LegendEntry {
  name: string;
  color: number;
  dashed: boolean;
}

const LEGEND_LINE = 18;
const CHARACTER_WIDTH = 6.6; // of 12 px system-ui, on the wide side: text is placed without measuring it

const px = (value: number) => String(Math.round(value * 10) / 10);
const slot = (color: number) => `var(--c${color % SERIES_COLORS})`;

/** Rows of [entry, x offset] that fit the width. */
function layOutLegend(entries: readonly LegendEntry[], width: number): { entry: LegendEntry; x: number; row: number }[] {
  let x = 0;
  let row = 0;
  return entries.map((entry) => {
    const needed = 42 + entry.name.length * CHARACTER_WIDTH;
    if (x > 0 && x + needed > width) {
      x = 0;
      row++;
    }
    const placed = { entry, x, row };
    x += needed;
    return placed;
  });
}

function drawLegend(placed: ReturnType<typeof layOutLegend>, frame: Frame): string {
  return placed
    .map(({ entry, x, row }) => {
      const y = 40 + row * LEGEND_LINE;
      const left = frame.left + x;
      const dashed = entry.dashed ? ' dashed' : '';
      return `<path class="line${dashed}" stroke="${slot(entry.color)}" d="M${px(left)} ${y - 4}h22"/><text class="legend" x="${px(left + 28)}" y="${y}">${escapeHtml(entry.name)}</text>`;
    })
    .join('');
}

function makeFrame(options: PlotOptions, entries: readonly LegendEntry[], bottom: number): { frame: Frame; legend: string } {
  const width = options.width ?? 640;
  const height = options.height ?? 360;
  const frame: Frame = { width, height, left: 64, right: width - 16, top: 40, bottom: height - bottom };
  const placed = layOutLegend(entries, frame.right - frame.left);
  const rows = (placed.at(-1)?.row ?? -1) + 1;
  frame.top += rows * LEGEND_LINE;
  return { frame, legend: drawLegend(placed, frame) };
}

function drawYAxis(scale: Scale, label: string, frame: Frame): string {
  const ticks = scale.ticks.map((tick) => {
    const y = px(scale(tick));
    return `<path class="grid" d="M${frame.left} ${y}H${frame.right}"/><text x="${frame.left - 8}" y="${px(scale(tick) + 4)}" text-anchor="end">${formatNumber(tick)}</text>`;
  });
  const middle = px((frame.top + frame.bottom) / 2);
  return `${ticks.join('')}<text transform="translate(16 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(label)}</text>`;
}

function drawXAxis(scale: Scale, label: string, frame: Frame, whole: boolean): string {
  const labelled = whole ? scale.ticks.filter(Number.isInteger) : scale.ticks;
  const ticks = labelled.map(
    (tick) => `<text x="${px(scale(tick))}" y="${frame.bottom + 18}" text-anchor="middle">${formatNumber(tick)}</text>`,
  );
  const middle = px((frame.left + frame.right) / 2);
  return `<path class="axis" d="M${frame.left} ${frame.bottom}H${frame.right}"/>${ticks.join('')}<text x="${middle}" y="${frame.bottom + 38}" text-anchor="middle">${escapeHtml(label)}</text>`;
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

function svg(options: PlotOptions, frame: Frame, legend: string, axes: string, marks: string): string {
  const { width, height, left, top } = frame;
  const across = frame.right - left;
  const down = frame.bottom - top + 4;
  return [
    `<svg class="plot" role="img" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escapeHtml(options.title)}</title><desc>${escapeHtml(options.description)}</desc>`,
    `<text class="title" x="${left}" y="18">${escapeHtml(options.title)}</text>`,
    legend,
    axes,
    // A nested drawing clips what leaves the frame, and needs no id to do so.
    `<svg x="${left}" y="${top - 2}" width="${across}" height="${down}" viewBox="${left} ${top - 2} ${across} ${down}">${marks}</svg>`,
    '</svg>',
  ].join('');
}

/** Lines over a numeric axis. Returns an `<svg>` element that takes its colours from the page (see standaloneSvg()). */
export function linePlot(options: LinePlotOptions): string {
  const { series, xScale: xKind = 'linear', yScale: yKind = 'linear' } = options;
  const color = (index: number) => series[index]!.color ?? index;
  const entries = series.map(({ name, dashed = false }, index) => ({ name, dashed, color: color(index) }));
  const { frame, legend } = makeFrame(options, options.legend === false ? [] : entries, 52);
  const ys = series.flatMap(({ y, bands = [] }) => [...y, ...bands.flatMap(({ low, high }) => [...low, ...high])]);
  const xs = series.flatMap(({ x }) => x);
  const xScale = makeScale(xKind, extent(xs, xKind), frame.left, frame.right);
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
  const entries = series.map(({ name }, index) => ({ name, dashed: false, color: color(index) }));
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
