/** The measurements as text for a terminal. */

import { alignColumns, microseconds, OPERATION_NAMES, ratio } from '../cpu/table';
import type { ProblemResult, Result } from './measure';
import { gpuProblemName } from './problem';

const gigabytes = (bytesPerSecond: number): string => (bytesPerSecond / 1e9).toFixed(0);

const HEAD = ['  operation', 'L2', 'median µs', 'min', 'quartiles', 'GB/s', 'copy µs', 'copy GB/s', '× copy'];

function row({ operation, cache, seconds, copySeconds, bytesPerSecond, copyBytesPerSecond, copies }: Result): string[] {
  return [
    `  ${OPERATION_NAMES[operation]}`,
    cache,
    microseconds(seconds.median),
    microseconds(seconds.min),
    `${microseconds(seconds.lowerQuartile)}–${microseconds(seconds.upperQuartile)}`,
    gigabytes(bytesPerSecond),
    microseconds(copySeconds.median),
    gigabytes(copyBytesPerSecond),
    ratio(copies),
  ];
}

export const problemTable = (result: ProblemResult): string =>
  [gpuProblemName(result), ...alignColumns([HEAD, ...result.results.map(row)], 2)].join('\n');
