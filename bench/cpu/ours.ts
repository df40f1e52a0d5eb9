/** Our CPU device, through the public TypeScript interface. */

import { BatchNorm, batchNormBackward, batchNormTraining, Device, type Gradients, Tensor } from '../../lib/index';
import { type Contender, timeCalls, warmUp } from './contender';
import { EPS, gradientOf, inputOf, parametersOf } from './data';
import { memoryShape, OPERATIONS, type Operation, OVERHEAD_TARGET, type Problem } from './problem';
import { type Summary, summarize } from './statistics';

export const OURS = 'cuda-batchnorm';
const device = 'cpu';

export type Latency = Record<Operation, Summary>;

/** Time of one step, forward and backward, on a problem so small that the calls count for more than the arithmetic. */
export interface Overhead {
  shape: readonly number[];
  /** Steps queued back to back. */
  pipelined: Summary;
  /** Each step awaited with synchronize(). */
  awaited: Summary;
  /** What the device itself works on a step, measured on it while many are queued. */
  arithmetic: Summary;
  /** The most that a step may take beyond its arithmetic, and whether it does not. */
  target: number;
  pipelinedMet: boolean;
  awaitedMet: boolean;
}

/** One layer with its tensors. Every call queues one operation; what it allocates goes back to the pool at once. */
export function openLayer(problem: Problem) {
  const axis = problem.layout === 'channels first' ? 1 : -1;
  const layer = new BatchNorm(problem.shape[1], { eps: EPS, axis, device });
  const { mean, variance, weight, bias } = parametersOf(problem);
  layer.runningMean!.write(mean);
  layer.runningVar!.write(variance);
  layer.weight!.write(weight);
  layer.bias!.write(bias);
  const shape = memoryShape(problem);
  const input = Tensor.from(inputOf(problem), shape, { device });
  const gradient = Tensor.from(gradientOf(problem), shape, { device });
  const output = Tensor.empty(shape, { device });
  // A layer's own backward() takes one saved pass; this form can be repeated alone.
  const parameters = { weight: layer.weight, bias: layer.bias, eps: EPS, axis };
  const { statistics } = batchNormTraining(input, { ...parameters, out: output });
  const call: Record<Operation, () => void> = {
    inference: () => void layer.eval().forward(input, { out: output }),
    trainingForward: () => void layer.train().forward(input, { out: output }),
    backward: () => disposeGradients(batchNormBackward(gradient, input, { ...parameters, statistics })),
  };
  const step = () => {
    call.trainingForward();
    disposeGradients(layer.backward(gradient));
  };
  const release = () => {
    for (const owner of [layer, input, gradient, output, statistics]) owner.dispose();
  };
  return { call, step, output, release };
}

function disposeGradients({ input, weight, bias }: Gradients): void {
  for (const tensor of [input, weight, bias]) tensor?.dispose();
}

export const synchronize = (): Promise<void> => Device.get(device).synchronize();

export function ours(threads: number): Contender {
  return {
    name: OURS,
    version: Device.report().find(({ name }) => name === device)?.version ?? 'unknown',
    note: `${threads} threads; calls queued back to back and one synchronize() at the end; forward writes to memory given with out, backward's results are disposed at once, so that the pool reuses their memory`,
    operations: OPERATIONS,
    prepare: async (problem) => {
      const { call, release } = openLayer(problem);
      return {
        burst: (operation, calls) => timeCalls(calls, call[operation], synchronize),
        release,
      };
    },
    close: () => {},
  };
}

/** Seconds from a call to the end of its work, one at a time. */
export async function measureLatency(problem: Problem, samples: number): Promise<Latency> {
  const { call, release } = openLayer(problem);
  const latency: Partial<Latency> = {};
  for (const operation of OPERATIONS) {
    const times: number[] = [];
    for (let i = 0; i < samples; i++) times.push(await timeCalls(1, call[operation], synchronize));
    latency[operation] = summarize(times);
  }
  release();
  return latency as Latency;
}

/** The times of a small step, held against the target. */
export function overheadOf(shape: readonly number[], times: Pick<Overhead, 'pipelined' | 'awaited' | 'arithmetic'>): Overhead {
  const met = ({ median }: Summary) => median - times.arithmetic.median <= OVERHEAD_TARGET;
  return { shape, ...times, target: OVERHEAD_TARGET, pipelinedMet: met(times.pipelined), awaitedMet: met(times.awaited) };
}

export async function measureOverhead(samples: number, steps: number, warmUpSeconds: number): Promise<Overhead> {
  const problem: Problem = { shape: [32, 64, 1, 1], layout: 'channels first' };
  const { step, release } = openLayer(problem);
  const pipelined: number[] = [];
  const awaited: number[] = [];
  const arithmetic: number[] = [];
  const oneByOne = () =>
    timeCalls(Math.ceil(steps / 10), () => {
      step();
      return synchronize();
    });
  await warmUp(warmUpSeconds, oneByOne);
  for (let i = 0; i < samples; i++) {
    pipelined.push(await timeCalls(steps, step, synchronize));
    awaited.push(await oneByOne());
    arithmetic.push(await deviceTime(step, Math.ceil(steps / 10)));
  }
  release();
  return overheadOf(problem.shape, { pipelined: summarize(pipelined), awaited: summarize(awaited), arithmetic: summarize(arithmetic) });
}

/** Seconds of one step on the device, which was kept busy until all of them were queued, so that it never waits for the next. */
async function deviceTime(step: () => void, steps: number): Promise<number> {
  const stream = Device.get(device).createStream();
  for (let fills = 2; ; fills *= 2) {
    const queued = performance.now();
    const events = [stream.record()];
    for (let i = 0; i < fills; i++) Tensor.zeros([2 ** 24], { device }).dispose();
    events.push(stream.record());
    for (let i = 0; i < steps; i++) step();
    events.push(stream.record());
    const queueing = performance.now() - queued;
    const [busy, worked] = await Promise.all([events[1]!.elapsed(events[0]!), events[2]!.elapsed(events[1]!)]);
    for (const event of events) event.dispose();
    if (busy > queueing) return worked / 1e3 / steps;
  }
}
