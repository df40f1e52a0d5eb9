/** What all plots have around their marks: title, legend, axes. */

import { escapeHtml } from './escape';
import { formatNumber, type Scale, type ScaleKind } from './scale';
import { SERIES_COLORS } from './style';

export interface PlotOptions {
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

export interface Frame {
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
  mark: 'line' | 'line dashed' | 'dots';
}

const LEGEND_LINE = 18;
export const CHARACTER_WIDTH = 6.6; // of 12 px system-ui, on the wide side: text is placed without measuring it

export const px = (value: number) => String(Math.round(value * 10) / 10);
export const slot = (color: number) => `var(--c${color % SERIES_COLORS})`;

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
      const swatch = entry.mark === 'dots' ? `M${px(left + 11)} ${y - 4}h.1` : `M${px(left)} ${y - 4}h22`;
      return `<path class="${entry.mark}" stroke="${slot(entry.color)}" d="${swatch}"/><text class="legend" x="${px(left + 28)}" y="${y}">${escapeHtml(entry.name)}</text>`;
    })
    .join('');
}

export function makeFrame(options: PlotOptions, entries: readonly LegendEntry[], bottom: number): { frame: Frame; legend: string } {
  const width = options.width ?? 640;
  const height = options.height ?? 360;
  const frame: Frame = { width, height, left: 64, right: width - 16, top: 40, bottom: height - bottom };
  const placed = layOutLegend(entries, frame.right - frame.left);
  const rows = (placed.at(-1)?.row ?? -1) + 1;
  frame.top += rows * LEGEND_LINE;
  return { frame, legend: drawLegend(placed, frame) };
}

/** Ticks are round: 1e−10 says as much as 1.0e−10, and leaves room for the axis's own label. */
const tickLabel = (tick: number): string => formatNumber(tick).replace('.0e', 'e');

export function drawYAxis(scale: Scale, label: string, frame: Frame): string {
  const ticks = scale.ticks.map((tick) => {
    const y = px(scale(tick));
    return `<path class="grid" d="M${frame.left} ${y}H${frame.right}"/><text x="${frame.left - 8}" y="${px(scale(tick) + 4)}" text-anchor="end">${tickLabel(tick)}</text>`;
  });
  const middle = px((frame.top + frame.bottom) / 2);
  return `${ticks.join('')}<text transform="translate(13 ${middle}) rotate(-90)" text-anchor="middle">${escapeHtml(label)}</text>`;
}

export function drawXAxis(scale: Scale, label: string, frame: Frame, whole: boolean): string {
  const labelled = whole ? scale.ticks.filter(Number.isInteger) : scale.ticks;
  const ticks = labelled.map(
    (tick) => `<text x="${px(scale(tick))}" y="${frame.bottom + 18}" text-anchor="middle">${tickLabel(tick)}</text>`,
  );
  const middle = px((frame.left + frame.right) / 2);
  return `<path class="axis" d="M${frame.left} ${frame.bottom}H${frame.right}"/>${ticks.join('')}<text x="${middle}" y="${frame.bottom + 38}" text-anchor="middle">${escapeHtml(label)}</text>`;
}

export function svg(options: PlotOptions, frame: Frame, legend: string, axes: string, marks: string): string {
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
