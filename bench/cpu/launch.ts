/**
 * One launch of the benchmark: a process that starts all contenders anew, measures them once, and sends its parent what it found. Where a
 * process's memory lies, and so how it shares the caches, is decided when it starts.
 */

import type { Contender } from './contender';
import { type Copy, FLOORS, startCopy, startFloor, startNative, startPyTorch } from './helper';
import { commit, machine } from './machine';
import { measure, warmUpContender } from './measure';
import { onnxRuntime } from './onnxruntime';
import type { ContenderName, Options } from './options';
import { measureLatency, measureOverhead, OURS, ours } from './ours';
import { withProgress } from './output';
import { problemName, problems } from './problem';
import type { Report } from './report';
import { startTensorFlow } from './tensorflow';

const WARM_UP_SECONDS = 0.4;

/** What the parent sends. */
export interface Order {
  options: Options;
  /** Of which launch this is, for the progress bar. */
  title: string;
}

/** What it gets back. */
export interface Found {
  report: Report;
  /** Of those that were asked for the ones that are here. */
  only: ContenderName[];
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

async function startContenders({ only, threads }: Options): Promise<Map<ContenderName, Contender>> {
  const contenders = new Map<ContenderName, Contender>();
  for (const name of only) {
    const contender = await START[name](threads);
    if (contender) contenders.set(name, contender);
  }
  if (contenders.size === 0) throw new Error('Nothing is left to measure: all of --only were left out');
  return contenders;
}

async function run({ options, title }: Order): Promise<Found> {
  const contenders = await startContenders(options);
  const copy = await startCopy(options.threads);
  try {
    return { report: await measureAll(options, title, [...contenders.values()], copy), only: [...contenders.keys()] };
  } finally {
    for (const one of [copy, ...contenders.values()]) one.close();
  }
}

async function measureAll(options: Options, title: string, contenders: readonly Contender[], copy: Copy): Promise<Report> {
  const { threads, rounds, burstSeconds, shapes } = options;
  const withOurs = options.only.includes('ours');
  const report: Report = {
    date: new Date().toISOString(),
    commit: commit(),
    machine: machine(),
    threads,
    launches: 1,
    rounds,
    implementations: contenders.map(({ name, version, note }) => ({ name, version, note })),
    problems: [],
  };
  for (const contender of contenders) await warmUpContender(contender, WARM_UP_SECONDS);
  for (const problem of problems(shapes)) {
    const result: Report['problems'][number] = await withProgress(rounds, `${title}, ${problemName(problem)}`, (onRound) =>
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
  }
  if (withOurs) report.overhead = await measureOverhead(rounds, 1000, WARM_UP_SECONDS);
  return report;
}

process.once('message', (order: Order) => {
  run(order).then(
    (found) => process.send!(found, () => process.exit(0)),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(1); // at once: helpers that were started end with the pipe to them
    },
  );
});
