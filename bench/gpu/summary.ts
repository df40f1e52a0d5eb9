/** What a run says in the end: ratios over many shapes, who failed at what, what is missing. */

import { OPERATIONS, type Operation } from '../cpu/problem';
import { alignColumns } from '../cpu/table';
import { geometricMean, overFloor, overRival, secondsOf } from './compare';
import type { ProblemResult } from './measure';
import { FUSED } from './networks';
import { COMPILED } from './pytorch';
import type { Report } from './report';
import { share } from './table';

const settingOf = ({ network, shape, layout, dtype }: ProblemResult): string => `${network}, batch ${shape[0]}, ${layout} ${dtype}`;

const columnsOf = (problems: readonly ProblemResult[], fused: string, operation: Operation): string[] => {
  const cells = problems
    .flatMap((problem) => problem.cells)
    .filter((cell) => cell.fused === fused && cell.operation === operation && cell.cache === 'cold');
  const compared = cells.filter((cell) => overRival(cell) !== null);
  const compiled = compared.filter((cell) => secondsOf(cell, COMPILED) !== null);
  return [
    share(geometricMean(compared.map(overRival))),
    `${compiled.length}/${compared.length}`,
    share(geometricMean(cells.map(overFloor))),
  ];
};

/** Geometric means over the shapes of a network. */
export function ratioTable(problems: readonly ProblemResult[]): string {
  const rows = [...new Set(problems.map(settingOf))].flatMap((setting) => {
    const own = problems.filter((problem) => settingOf(problem) === setting);
    return FUSED.filter((fused) => own.some(({ cells }) => cells.some((cell) => cell.fused === fused))).map((fused) => [
      `  ${setting}`,
      fused,
      ...OPERATIONS.flatMap((operation) => columnsOf(own, fused, operation)),
    ]);
  });
  const head = ['  shapes of', 'fused', ...['inference', 'forward', 'backward'].flatMap((name) => [`${name}/rival`, 'compiled', '/floor'])];
  const title =
    'Ours over the best rival and over the floor, cold L2, geometric means; compiled: in how many torch.compile is among the rivals';
  return [title, ...alignColumns([head, ...rows], 2)].join('\n');
}

export const failureLines = ({ absent, failures }: Report): string[] => [
  ...absent.map(({ contender, reason }) => `${contender} is left out: ${reason}`),
  ...failures.map(({ contender, reason, count, first }) => `${contender}: ${reason} (${count} times, first: ${first})`),
];

/** What differs in its shape alone is one line. */
export function leftOutLines({ leftOut, seconds, budgetSeconds }: Report): string[] {
  if (leftOut.length === 0) return [];
  const kinds = leftOut.map((name) => name.replace(/\[[^\]]*\]/, '[…]'));
  const lines = [...new Set(kinds)].map((kind) => `  ${kind}: ${kinds.filter((one) => one === kind).length}`);
  return [`Left out when the ${budgetSeconds} s were over (after ${Math.round(seconds)} s): ${leftOut.length}`, ...lines];
}
