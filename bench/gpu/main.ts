/** The GPU benchmark: see options.ts for its command line. */

import { join } from 'node:path';
import type { Device } from '../../lib/index';
import { commit, fileStem, type Machine, machine } from '../cpu/machine';
import { withProgress, writeReport } from '../cpu/output';
import { Clock } from './clock';
import { describeGpu, type Gpu, openGpu } from './gpu';
import { measure, type ProblemResult } from './measure';
import { HELP, type Options, parseOptions } from './options';
import { openProblem } from './ours';
import { plot } from './plot';
import { gpuProblemName, problems } from './problem';
import { problemTable } from './table';

/** What the JSON file holds; times in seconds. */
interface Report {
  date: string;
  commit: string | null;
  machine: Machine;
  gpu: Gpu;
  rounds: number;
  callsWithWarmCache: number;
  flushBytes: number;
  problems: ProblemResult[];
}

async function run(options: Options, device: Device, onProblem: (result: ProblemResult) => void): Promise<Report> {
  const { shapes, dtypes, rounds, calls, flushBytes } = options;
  const report: Report = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: machine(),
    gpu: describeGpu(device),
    rounds,
    callsWithWarmCache: calls,
    flushBytes,
    problems: [],
  };
  const stream = device.createStream();
  const clock = await Clock.start(device, stream, flushBytes);
  for (const problem of problems(shapes, dtypes)) {
    const open = openProblem(problem, device, stream);
    const result = await withProgress(rounds, gpuProblemName(problem), (onRound) =>
      measure(problem, open, clock, { rounds, calls, onRound }),
    );
    open.release();
    report.problems.push(result);
    onProblem(result);
  }
  return report;
}

/** All of it but the times: what a visit to a GPU would stumble over shows without one. */
async function rehearse(options: Options, device: Device): Promise<void> {
  const report = await run(options, device, (result) => void problemTable(result));
  JSON.stringify(report);
  plot(report.problems);
  console.log(`Rehearsed on ${device.description}: ${report.problems.length} problems; no times are shown and nothing is written`);
}

async function measureAll(options: Options, device: Device): Promise<void> {
  const say = options.json ? console.error : console.log;
  const { description, version, state } = describeGpu(device);
  say(`${description}, ${version}${state ? `, ${state}` : ''}, ${options.rounds} rounds`);
  say('GB/s: the fewest bytes the operation moves by its time; beside it a copy on the device that moves as many, timed just before');
  const report = await run(options, device, (result) => say(`\n${problemTable(result)}`));
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  const gpu = description.split(',')[0]!;
  writeReport(
    report,
    plot(report.problems),
    options.out ?? join('reports', 'bench', 'gpu', `${fileStem(new Date(report.date), gpu)}.json`),
  );
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const device = openGpu(options.rehearse);
  await (options.rehearse ? rehearse : measureAll)(options, device);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
