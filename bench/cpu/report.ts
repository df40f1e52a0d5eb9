/** What the JSON file holds, times in seconds; and how the reports of several launches become one. */

import type { Machine } from './machine';
import type { ProblemResult, Result } from './measure';
import { type Latency, type Overhead, overheadOf } from './ours';
import { OPERATIONS } from './problem';
import { median, poolSummaries } from './statistics';

export interface Report {
  date: string;
  commit: string | null;
  machine: Machine;
  threads: number;
  launches: number;
  /** In each launch. */
  rounds: number;
  implementations: { name: string; version: string; note: string }[];
  problems: (ProblemResult & { latency?: Latency })[];
  overhead?: Overhead;
}

type MeasuredProblem = Report['problems'][number];

/** One report of launches that measured the same: their medians' median, for the luck of a process is its own. */
export function poolReports(reports: readonly Report[]): Report {
  const [first] = reports;
  if (!first) throw new Error('Expected at least one launch');
  const overheads = reports.flatMap(({ overhead }) => overhead ?? []);
  return {
    ...first,
    launches: reports.length,
    problems: first.problems.map((_, i) => poolProblems(reports.map(({ problems }) => problems[i]!))),
    ...(overheads.length > 0 && { overhead: poolOverheads(overheads) }),
  };
}

function poolProblems(launches: readonly MeasuredProblem[]): MeasuredProblem {
  const first = launches[0]!;
  const latencies = launches.flatMap(({ latency }) => latency ?? []);
  return {
    ...first,
    copySeconds: poolSummaries(launches.map(({ copySeconds }) => copySeconds)),
    results: first.results.map((_, i) => poolResults(launches.map(({ results }) => results[i]!))),
    ...(latencies.length > 0 && {
      latency: Object.fromEntries(
        OPERATIONS.map((operation) => [operation, poolSummaries(latencies.map((latency) => latency[operation]))]),
      ) as Latency,
    }),
  };
}

function poolResults(launches: readonly Result[]): Result {
  const first = launches[0]!;
  const copiesOfLaunches = launches.map(({ copies }) => copies);
  const copies = median(copiesOfLaunches);
  const pooled: Result = { ...first, seconds: poolSummaries(launches.map(({ seconds }) => seconds)), copies, copiesOfLaunches };
  if (first.target !== undefined) pooled.met = copies <= first.target;
  for (const floor of ['floor', 'arithmeticFloor'] as const) {
    if (first[floor] !== undefined) pooled[floor] = median(launches.map((launch) => launch[floor]!));
  }
  return pooled;
}

function poolOverheads(launches: readonly Overhead[]): Overhead {
  const [pipelined, awaited, arithmetic] = (['pipelined', 'awaited', 'arithmetic'] as const).map((time) =>
    poolSummaries(launches.map((launch) => launch[time])),
  ) as [Overhead['pipelined'], Overhead['awaited'], Overhead['arithmetic']];
  return overheadOf(launches[0]!.shape, { pipelined, awaited, arithmetic });
}
