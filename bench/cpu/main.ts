/** The CPU benchmark: see options.ts for its command line. */

import { join } from 'node:path';
import { UsageError } from '../../lib/cli/usage';
import type { Contender } from './contender';
import { type Copy, FLOORS, NATIVE, startCopy, startFloor, startNative, startPyTorch } from './helper';
import { commit, fileStem, type Machine, machine } from './machine';
import { measure, type ProblemResult } from './measure';
import { onnxRuntime } from './onnxruntime';
import { type ContenderName, HELP, type Options, parseOptions } from './options';
import { type Latency, measureLatency, measureOverhead, OURS, type Overhead, ours } from './ours';
import { withProgress, writeReport } from './output';
import { plot } from './plot';
import { problemName, problems } from './problem';
import { missedBy, overheadLine, problemTable } from './table';
import { startTensorFlow } from './tensorflow';

/** What the JSON file holds; times in seconds. */
export interface Report {
  date: string;
  commit: string | null;
  machine: Machine;
  threads: number;
  rounds: number;
  implementations: { name: string; version: string; note: string }[];
  problems: (ProblemResult & { latency?: Latency })[];
  overhead?: Overhead;
}

const START: Record<ContenderName, (threads: number) => Promise<Contender | null> | Contender | null> = {
  ours: (threads) => {
    process.env.CUDA_BATCHNORM_THREADS = String(threads); // read when the device is made
    return ours(threads);
  },
  floor: (threads) => startFloor('bytes', threads),
  arithmetic: (threads) => startFloor('arithmetic', threads),
  native: (threads) => startNative('whole', threads),
  handed: (threads) => startNative('handed', threads),
  kernels: (threads) => startNative('kernels', threads),
  onnxruntime: onnxRuntime,
  tfjs: startTensorFlow,
  pytorch: (threads) => {
    const python = process.env.BENCH_PYTHON;
    if (python) return startPyTorch(python, threads);
    console.error('PyTorch is left out: BENCH_PYTHON names no Python with torch');
    return null;
  },
};

async function startContenders({ only, threads }: Options): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const name of only) {
    const contender = await START[name](threads);
    if (contender) contenders.push(contender);
  }
  if (contenders.length === 0) throw new Error('Nothing is left to measure: all of --only were left out');
  return contenders;
}

async function run(options: Options): Promise<Report> {
  const contenders = await startContenders(options);
  const copy = await startCopy(options.threads);
  try {
    return await measureAll(options, contenders, copy);
  } finally {
    for (const one of [copy, ...contenders]) one.close();
  }
}

async function measureAll(options: Options, contenders: readonly Contender[], copy: Copy): Promise<Report> {
  const { threads, rounds, burstSeconds, shapes } = options;
  const withOurs = options.only.includes('ours');
  const say = options.json ? console.error : console.log;
  const report: Report = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: machine(),
    threads,
    rounds,
    implementations: contenders.map(({ name, version, note }) => ({ name, version, note })),
    problems: [],
  };
  say(`${report.machine.cpu}, ${report.machine.cores} cores, Node ${report.machine.node}, ${threads} threads, ${rounds} rounds`);
  say(
    `× copy: in multiples of memcpy by ${threads} threads, each on its own core with always the same part, on huge pages, timed just before every burst`,
  );
  for (const { name, version, note } of report.implementations) say(`${name} ${version}: ${note}`);
  const all = problems(shapes);
  for (const problem of all) {
    const result: Report['problems'][number] = await withProgress(rounds, problemName(problem), (onRound) =>
      measure(problem, contenders, copy, {
        rounds,
        burstSeconds,
        ours: OURS,
        floor: FLOORS.bytes.name,
        arithmetic: FLOORS.arithmetic.name,
        onRound,
      }),
    );
    if (withOurs) result.latency = await measureLatency(problem, rounds);
    report.problems.push(result);
    say(`\n${problemTable(result, result.latency)}`);
  }
  if (withOurs) {
    const overhead = await measureOverhead(rounds, 1000);
    report.overhead = overhead;
    say(`\n${overheadLine(overhead)}`);
  }
  return report;
}

function verdict({ problems: results }: Report): string {
  const held = results.flatMap((problem) => problem.results.filter(({ met }) => met !== undefined).map((result) => ({ problem, result })));
  const missed = held.filter(({ result }) => !result.met);
  return [
    `\nTargets met: ${held.length - missed.length} of ${held.length}`,
    ...missed.map(({ problem, result }) => `  missed: ${problemName(problem)}, ${result.operation}: ${missedBy(result)}`),
  ].join('\n');
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const report = await run(options);
  if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else if (options.only.includes('ours')) console.log(verdict(report));
  // What ours is made of is no rival of it.
  const parts: readonly string[] = Object.values(NATIVE).map(({ name }) => name);
  const names = report.implementations.map(({ name }) => name).filter((name) => !parts.includes(name));
  const out = options.out ?? join('reports', 'bench', 'cpu', `${fileStem(new Date(report.date), report.machine.cpu)}.json`);
  writeReport(report, plot(report.problems, names), out);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  if (error instanceof UsageError) console.error("'npm run bench -- --help' lists the options");
  process.exit(error instanceof UsageError ? 2 : 1); // at once: helpers that were started end with the pipe to them
});
