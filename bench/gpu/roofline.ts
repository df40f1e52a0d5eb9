/** How near everybody comes to the speed of the memory: bytes per second over bytes, and the copy's as a line. */

import { scatterPlot } from '../../lib/report';
import { HEIGHT, stack, WIDTH } from '../cpu/plot';
import { OPERATIONS } from '../cpu/problem';
import { median } from '../cpu/statistics';
import { OPERATION_NAMES } from '../cpu/table';
import { floorSeconds, SIDES, secondsOf } from './compare';
import { CACHES, type Cell, type ProblemResult } from './measure';

const gigabytesPerSecond = (bytes: number, seconds: number): number => bytes / seconds / 1e9;

/** One point for each number of bytes: the median of the copies that moved so many. */
function copyLine(cells: readonly Cell[]) {
  const sizes = [...new Set(cells.map(({ bytes }) => bytes))].sort((a, b) => a - b);
  const seconds = (bytes: number) => median(cells.filter((cell) => cell.bytes === bytes).map(floorSeconds));
  return {
    name: 'copy',
    color: 5,
    x: sizes.map((bytes) => bytes / 1e6),
    y: sizes.map((bytes) => gigabytesPerSecond(bytes, seconds(bytes))),
  };
}

function panel(title: string, cells: readonly Cell[]): string {
  const points = (name: string, color: number, seconds: (cell: Cell) => number | null) => {
    const there = cells.flatMap((cell) => {
      const time = seconds(cell);
      return time === null ? [] : [[cell.bytes, gigabytesPerSecond(cell.bytes, time)] as const];
    });
    return { name, color, x: there.map(([bytes]) => bytes / 1e6), y: there.map(([, speed]) => speed) };
  };
  return scatterPlot({
    title,
    description:
      'Dots on logarithmic axes: the fewest bytes of an operation, and how many of them an implementation moves per second. Higher is better; the line is a copy on the device.',
    xLabel: 'MB that the operation at least moves (log)',
    yLabel: 'GB/s (log)',
    xScale: 'log',
    yScale: 'log',
    series: SIDES.map((side, color) => points(side, color, (cell) => secondsOf(cell, side))).filter(({ x }) => x.length > 0),
    lines: [copyLine(cells)],
    width: WIDTH,
    height: HEIGHT,
  });
}

export function roofline(problems: readonly ProblemResult[]): string {
  const all = problems.flatMap(({ cells }) => cells);
  const panels = OPERATIONS.flatMap((operation) =>
    CACHES.flatMap((cache) => {
      const cells = all.filter((cell) => cell.operation === operation && cell.cache === cache);
      return cells.length === 0 ? [] : [panel(`Roofline: ${OPERATION_NAMES[operation]}, ${cache} L2`, cells)];
    }),
  );
  return stack(panels, 'Batch normalization on the GPU: roofline');
}
