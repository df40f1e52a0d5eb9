/** The measurements as text for a terminal. */

import { alignColumns, microseconds, OPERATION_NAMES, ratio } from '../cpu/table';
import type { CallTimes } from './calls';
import { bestRival, floorSeconds, overFloor, overRival, SIDES, secondsOf } from './compare';
import type { Sum } from './headline';
import type { Cell, ProblemResult } from './measure';
import { stepName } from './plan';
import { problemName } from './problem';
import type { StepResult } from './step';

const MISSING = '–';
const time = (seconds: number | null | undefined): string => (seconds == null ? MISSING : microseconds(seconds));
export const share = (value: number | null): string => (value === null ? MISSING : ratio(value));

const HEAD = ['  operation', 'fused', 'L2', 'best rival', 'its µs', 'ours µs', 'ours/rival', 'floor µs', 'ours/floor'];

function row(cell: Cell): string[] {
  const rival = bestRival(cell);
  return [
    `  ${OPERATION_NAMES[cell.operation]}`,
    cell.fused,
    cell.cache,
    rival?.contender ?? MISSING,
    time(rival?.seconds.median),
    time(secondsOf(cell, 'ours')),
    share(overRival(cell)),
    time(floorSeconds(cell)),
    share(overFloor(cell)),
  ];
}

export const problemTable = (result: ProblemResult): string =>
  [problemName(result), ...alignColumns([HEAD, ...result.cells.map(row)], 4)].join('\n');

export function stepTable(step: StepResult): string {
  const rows = step.times.map(({ contender, seconds, pipelined }) => [
    `  ${contender}`,
    time(seconds.median),
    share(seconds.median / step.copySeconds.median),
    time(pipelined.median),
  ]);
  const floor = ['  copies of the same bytes', time(step.copySeconds.median), '', ''];
  return [
    `${stepName(step)}: ${step.layers} batch norms forward and backward, cold L2`,
    ...alignColumns([['  ', 'µs on the GPU', '/floor', 'µs on end'], ...rows, floor], 1),
  ].join('\n');
}

export function callTable({ shape, calls, times }: CallTimes): string {
  const rows = times.map(({ name, queued, done }) => [`  ${name}`, time(queued?.median), time(done.median)]);
  return [
    `Time per call on [${shape.join(',')}] float32, ${calls} on end`,
    ...alignColumns([['  ', 'µs to queue', 'µs until done'], ...rows], 1),
  ].join('\n');
}

export function headlineTable(sums: readonly Sum[]): string {
  const rows = sums.map(({ network, batch, layout, dtype, fusion, cache, layers, seconds }) => {
    const rivals = [seconds.cuDNN, seconds['PyTorch eager'], seconds['PyTorch compile']].filter((value) => value !== null);
    const best = rivals.length === 0 ? null : Math.min(...rivals);
    return [
      `  ${network} ×${layers}, batch ${batch}`,
      `${layout} ${dtype}`,
      fusion,
      cache,
      ...SIDES.map((side) => time(seconds[side])),
      time(seconds.floor),
      share(best === null ? null : seconds.ours! / best),
      share(seconds.ours! / seconds.floor!),
    ];
  });
  const head = ['  batch norms', 'of', 'fused', 'L2', ...SIDES.map((side) => `${side} µs`), 'floor µs', 'ours/rival', 'ours/floor'];
  return ['All batch norms of a training step, forward and backward: sums of medians', ...alignColumns([head, ...rows], 4)].join('\n');
}
