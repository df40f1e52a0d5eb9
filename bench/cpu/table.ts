/** The measurements as text for a terminal. */

import type { ProblemResult, Result } from './measure';
import type { Latency, Overhead } from './ours';
import { type Operation, problemName } from './problem';
import type { Summary } from './statistics';

export const OPERATION_NAMES: Record<Operation, string> = {
  inference: 'inference',
  trainingForward: 'training forward',
  backward: 'backward',
};

export const microseconds = (seconds: number): string => (seconds * 1e6).toFixed(seconds < 1e-4 ? 1 : 0);
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
export const ratio = (copies: number): string => copies.toFixed(copies < 10 ? 2 : copies < 100 ? 1 : 0);

/** Columns as wide as their widest cell; the first `left` ones are aligned left, the others right. */
export function alignColumns(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** By how much a target was missed, and whether the machine would have allowed it. */
export function missedBy({ copies, target = 0, floor, arithmeticFloor }: Result): string {
  const beside = (name: string, least: number | undefined) =>
    least === undefined
      ? ''
      : `; ${name} ${ratio(least)}, ${least > target ? 'above' : 'below'} the target, and ours ${ratio(copies / least)} of it`;
  return `${ratio(copies)} > ${target}${beside('the floor is', floor)}${beside('with arithmetic it is', arithmeticFloor)}`;
}

function verdict({ target = 0, met, floor = 0, arithmeticFloor = 0 }: Result): string {
  if (met) return 'met';
  if (floor > target) return 'MISSED, as by the floor';
  return arithmeticFloor > target ? 'MISSED, as by the floor with arithmetic' : 'MISSED';
}

function resultRow(result: Result): string[] {
  const { implementation, operation, seconds, copies, target, floor, arithmeticFloor } = result;
  const times = (least: number | undefined) => (least === undefined ? '' : ratio(copies / least));
  return [
    `  ${OPERATION_NAMES[operation]}`,
    implementation,
    microseconds(seconds.median),
    microseconds(seconds.min),
    `${microseconds(seconds.lowerQuartile)}–${microseconds(seconds.upperQuartile)}`,
    ratio(copies),
    times(floor),
    times(arithmeticFloor),
    target === undefined ? '' : `≤ ${target} ${verdict(result)}`,
  ];
}

export function problemTable(result: ProblemResult, latency?: Latency): string {
  const { copySeconds, fewestBytes, results } = result;
  const bytesPerSecond = result.copyBytes / copySeconds.median;
  const lines = [
    problemName(result),
    ...(['inference', 'backward'] as const).map((operation) => {
      const bytes = fewestBytes[operation];
      const name = operation === 'inference' ? 'inference and training forward' : 'backward';
      return `  ${name}: at least ${megabytes(bytes)} MB, which a copy moves in ${microseconds(bytes / bytesPerSecond)} µs here`;
    }),
    `  a copy of the tensor: median ${microseconds(copySeconds.median)} µs, min ${microseconds(copySeconds.min)}, quartiles ${microseconds(copySeconds.lowerQuartile)}–${microseconds(copySeconds.upperQuartile)}, ${(bytesPerSecond / 1e9).toFixed(0)} GB/s read and written`,
    ...alignColumns(
      [
        ['  operation', 'implementation', 'median µs', 'min', 'quartiles', '× copy', '× floor', 'with arithmetic', 'target'],
        ...results.map(resultRow),
      ],
      2,
    ),
  ];
  if (latency) {
    const each = Object.entries(latency).map(
      ([name, seconds]) => `${OPERATION_NAMES[name as Operation]} ${microseconds(seconds.median)} µs`,
    );
    lines.push(`  ours, one call awaited with synchronize(): ${each.join(', ')}`);
  }
  return lines.join('\n');
}

export function overheadLine({ shape, pipelined, awaited, arithmetic, target, pipelinedMet, awaitedMet }: Overhead): string {
  const times = (name: string, { median }: Summary, met: boolean) =>
    `${name} ${microseconds(median)} µs, ${microseconds(median - arithmetic.median)} beyond it (≤ ${microseconds(target)} ${met ? 'met' : 'MISSED'})`;
  return [
    `One training step (forward and backward) on [${shape.join(',')}], from TypeScript; its arithmetic takes ${microseconds(arithmetic.median)} µs`,
    `  ${times('queued back to back:', pipelined, pipelinedMet)}`,
    `  ${times('each awaited:', awaited, awaitedMet)}`,
  ].join('\n');
}
