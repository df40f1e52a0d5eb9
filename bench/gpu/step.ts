/** A network's batch norms run as one training step, by everybody who can. */

import type { Stream } from '../../lib/index';
import { type Summary, summarize } from '../cpu/statistics';
import { BACKENDS, backendsHere } from './contenders';
import type { OnFailure } from './failures';
import type { Timer } from './measure';
import { bytesOf, type LayerProblem, type OpenStep, openCopyStep, openGraph, openStep } from './open_step';
import { type Step, type StepLayer, stepName } from './plan';
import { EAGER, type PyTorch, type StepTimes } from './pytorch';
import type { Watch } from './watchdog';

export const GRAPH = 'ours, CUDA graph';
const COPIES = 'copies';

export interface StepTime extends StepTimes {
  contender: string;
}

export interface StepResult extends Step {
  layers: number;
  /** The fewest that the step moves. */
  bytes: number;
  /** Of copies of as many bytes as each operation at least moves, one after the other. */
  copySeconds: Summary;
  times: StepTime[];
}

export interface StepOptions {
  rounds: number;
  /** The most that PyTorch's answer may take. */
  seconds: number;
  onFailure: OnFailure;
  watch: Watch;
}

const STEPS_ON_END = 3;

interface Reactions {
  fail: (contender: string, error: unknown) => void;
  watchRun: (contender: string, work: () => Promise<void>) => Promise<void>;
}

interface Run extends OpenStep {
  contender: string;
  seconds: number[];
  pipelined: number[];
}

export async function measureStep(
  step: Step,
  layers: readonly StepLayer[],
  stream: Stream,
  timer: Timer,
  pytorch: PyTorch | null,
  { rounds, seconds, onFailure, watch }: StepOptions,
): Promise<StepResult> {
  const problems = layers.map((layer): LayerProblem => ({ ...step, ...layer }));
  const fail = (contender: string, error: unknown) => onFailure(contender, error, stepName(step));
  const watchRun = (contender: string, work: () => Promise<void>) => watch(contender, stepName(step), work);
  const measured = await measureHere(problems, stream, timer, rounds, { fail, watchRun });
  const times = measured.filter(({ contender }) => contender !== COPIES);
  try {
    const { layout, dtype } = step;
    const eager = await pytorch?.step(layers, { layout, dtype, rounds, seconds });
    if (eager) times.push({ contender: EAGER, ...eager });
  } catch (error) {
    fail(EAGER, error);
  }
  const copies = measured.find(({ contender }) => contender === COPIES);
  if (copies === undefined) throw new Error('there is no floor to hold the times against');
  const bytes = bytesOf(problems).reduce((sum, one) => sum + one, 0);
  return { ...step, layers: layers.length, bytes, copySeconds: copies.seconds, times };
}

/** By the implementations in this process, in turns; their memory is free again when this resolves. */
async function measureHere(
  problems: readonly LayerProblem[],
  stream: Stream,
  timer: Timer,
  rounds: number,
  { fail, watchRun }: Reactions,
): Promise<StepTime[]> {
  const runs: Run[] = [];
  const attempt = async (contender: string, work: () => Promise<void>, onError: () => void) => {
    try {
      await watchRun(contender, work);
    } catch (error) {
      fail(contender, error);
      onError();
    }
  };
  const open = async (contender: string, opening: () => OpenStep) => {
    let release = () => {};
    const first = async () => {
      const step = opening();
      release = step.release;
      await firstCall(step, stream);
      runs.push({ ...step, contender, seconds: [], pipelined: [] });
    };
    await attempt(contender, first, () => release()); // the next ones need the memory
  };
  try {
    await open(COPIES, () => openCopyStep(bytesOf(problems), stream));
    const [ours, ...others] = backendsHere() as [string, ...string[]];
    await open(ours, () => openStep(problems, BACKENDS[ours]!, stream));
    await open(GRAPH, () => openGraph(problems, BACKENDS[ours]!, stream)); // while there is memory: each has tensors of its own
    for (const name of others) await open(name, () => openStep(problems, BACKENDS[name]!, stream));
    await timer.wake();
    for (let round = 0; round < rounds; ++round) {
      for (const run of [...runs])
        await attempt(
          run.contender,
          () => sample(run, stream, timer),
          () => drop(runs, run),
        );
    }
    return runs.map(({ contender, seconds, pipelined }) => ({
      contender,
      seconds: summarize(seconds),
      pipelined: summarize(pipelined),
    }));
  } finally {
    for (const { release } of runs) release();
    stream.device.emptyCache();
  }
}

async function firstCall({ call }: OpenStep, stream: Stream): Promise<void> {
  await stream.device.synchronize(); // its tensors are made on another stream
  call(stream);
  await stream.synchronize();
}

/** It is not asked again. */
function drop(runs: Run[], run: Run): void {
  runs.splice(runs.indexOf(run), 1);
  run.release();
}

async function sample({ call, seconds, pipelined }: Run, stream: Stream, timer: Timer): Promise<void> {
  seconds.push(await timer.cold(() => call(stream)));
  const start = performance.now();
  for (let i = 0; i < STEPS_ON_END; ++i) call(stream);
  await stream.synchronize();
  pipelined.push((performance.now() - start) / 1e3 / STEPS_ON_END);
}
