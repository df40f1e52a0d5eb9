/** A network's batch norms run as one training step, by everybody who can. */

import type { Stream } from '../../lib/index';
import { type Summary, summarize } from '../cpu/statistics';
import { BACKENDS, backendsHere, OURS } from './contenders';
import type { OnFailure } from './failures';
import type { Timer } from './measure';
import { bytesOf, type LayerProblem, type OpenStep, openCopyStep, openGraph, openStep } from './open_step';
import { type Step, type StepLayer, stepName } from './plan';
import { EAGER, type PyTorch, type StepTimes } from './pytorch';

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
}

const STEPS_ON_END = 3;

interface Run extends Pick<OpenStep, 'call'> {
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
  { rounds, seconds, onFailure }: StepOptions,
): Promise<StepResult> {
  const problems = layers.map((layer): LayerProblem => ({ ...step, ...layer }));
  const fail = (contender: string, error: unknown) => onFailure(contender, error, stepName(step));
  const measured = await measureHere(problems, stream, timer, rounds, fail);
  const times = measured.filter(({ contender }) => contender !== COPIES);
  try {
    const { layout, dtype } = step;
    const eager = await pytorch?.step(layers, { layout, dtype, rounds, seconds });
    if (eager) times.push({ contender: EAGER, ...eager });
  } catch (error) {
    fail(EAGER, error);
  }
  const copySeconds = measured.find(({ contender }) => contender === COPIES)!.seconds;
  const bytes = bytesOf(problems).reduce((sum, one) => sum + one, 0);
  return { ...step, layers: layers.length, bytes, copySeconds, times };
}

/** By the implementations in this process, in turns; their memory is free again when this resolves. */
async function measureHere(
  problems: readonly LayerProblem[],
  stream: Stream,
  timer: Timer,
  rounds: number,
  fail: (contender: string, error: unknown) => void,
): Promise<StepTime[]> {
  const opened: OpenStep[] = [];
  const runs: Run[] = [];
  const open = async (contender: string, opening: () => OpenStep) => {
    try {
      const { call, release } = opening();
      opened.push({ call, release });
      await stream.device.synchronize(); // its tensors are made on another stream
      call(stream);
      await stream.synchronize();
      runs.push({ contender, call, seconds: [], pipelined: [] });
    } catch (error) {
      fail(contender, error);
    }
  };
  try {
    await open(COPIES, () => openCopyStep(bytesOf(problems), stream));
    for (const name of backendsHere()) await open(name, () => openStep(problems, BACKENDS[name]!, stream));
    await open(GRAPH, () => openGraph(problems, BACKENDS[OURS]!, stream));
    await timer.wake();
    for (let round = 0; round < rounds; ++round) {
      for (const run of runs) await sample(run, stream, timer);
    }
    return runs.map(({ contender, seconds, pipelined }) => ({
      contender,
      seconds: summarize(seconds),
      pipelined: summarize(pipelined),
    }));
  } finally {
    for (const { release } of opened) release();
    stream.device.emptyCache();
  }
}

async function sample({ call, seconds, pipelined }: Run, stream: Stream, timer: Timer): Promise<void> {
  seconds.push(await timer.cold(() => call(stream)));
  const start = performance.now();
  for (let i = 0; i < STEPS_ON_END; ++i) call(stream);
  await stream.synchronize();
  pipelined.push((performance.now() - start) / 1e3 / STEPS_ON_END);
}
