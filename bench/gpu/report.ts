/** All that a run found out, as the JSON has it; times in seconds. bench/results/README.md tells it to readers. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { commit, type Machine, machine } from '../cpu/machine';
import type { CallTimes } from './calls';
import type { Failure } from './failures';
import type { Gpu } from './gpu';
import { type Sum, sumsOf } from './headline';
import type { ProblemResult } from './measure';
import type { Network } from './networks';
import type { Options } from './options';
import { barPlots } from './plot';
import type { PyTorchVersions } from './pytorch';
import { roofline } from './roofline';
import type { StepResult } from './step';

export interface Report {
  date: string;
  commit: string | null;
  machine: Machine;
  gpu: Gpu;
  cudnn: string | null;
  pytorch: PyTorchVersions | null;
  rounds: number;
  /** The most calls back to back where the cache is warm. */
  callsWithWarmCache: number;
  flushBytes: number;
  budgetSeconds: number;
  /** What the run took. */
  seconds: number;
  networks: Pick<Network, 'name' | 'source'>[];
  /** Who did not take part at all, and why. */
  absent: { contender: string; reason: string }[];
  /** What there was no time for. */
  leftOut: string[];
  /** What did not work, and why. */
  failures: Failure[];
  headline: Sum[];
  steps: StepResult[];
  timePerCall: CallTimes | null;
  problems: ProblemResult[];
}

type Parties = Pick<Report, 'gpu' | 'cudnn' | 'pytorch' | 'absent'>;

export const newReport = ({ rounds, calls, flushBytes, budget, networks }: Options, parties: Parties): Report => ({
  date: new Date().toISOString(),
  commit: commit(),
  machine: machine(),
  ...parties,
  rounds,
  callsWithWarmCache: calls,
  flushBytes,
  budgetSeconds: budget,
  seconds: 0,
  networks: networks.map(({ name, source }) => ({ name, source })),
  leftOut: [],
  failures: [],
  headline: [],
  steps: [],
  timePerCall: null,
  problems: [],
});

export const headlineOf = ({ problems }: Report, { networks, batches }: Options): Sum[] =>
  networks.flatMap((network) => sumsOf(network, batches, problems));

/** Five digits are more than a time has; there are thousands of them, so there is no space between. */
export const toJson = (report: Report): string =>
  `${JSON.stringify(report, (_, value) => (typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value))}\n`;

export function writeJson(report: Report, out: string): void {
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, toJson(report));
}

/** The plots beside the JSON; their names. */
export function writePlots(report: Report, out: string): string[] {
  const stem = out.replace(/\.json$/, '');
  const plots = { [`${stem}.svg`]: barPlots(report), [`${stem}-roofline.svg`]: roofline(report.problems) };
  for (const [name, plot] of Object.entries(plots)) writeFileSync(name, plot);
  return Object.keys(plots);
}
