/** What a call costs seen from JavaScript: of problems so small that little else counts, many calls on end. */

import { BatchNorm, batchNormBackward, batchNormTraining, type Device } from '../../lib/index';
import { type Summary, summarize } from '../cpu/statistics';
import { OURS } from './contenders';
import type { OnFailure } from './failures';
import { disposeAll, inputsOf } from './inputs';
import type { GpuProblem } from './problem';
import { EAGER, type PyTorch } from './pytorch';
import type { Watch } from './watchdog';

const PROBLEM: GpuProblem = { network: 'call', shape: [32, 64, 1, 1], layout: 'channels first', dtype: 'float32' };

export interface CallTime {
  name: string;
  /** Until all calls are queued; null where that was not taken. */
  queued: Summary | null;
  /** Until their work is done as well. */
  done: Summary;
}

export interface CallTimes {
  shape: readonly number[];
  calls: number;
  times: CallTime[];
}

export interface CallOptions {
  rounds: number;
  /** On end. */
  calls: number;
  /** The most that PyTorch's answer may take. */
  seconds: number;
  onFailure: OnFailure;
  watch: Watch;
}

export async function measureCalls(
  device: Device,
  pytorch: PyTorch | null,
  { rounds, calls, seconds, onFailure, watch }: CallOptions,
): Promise<CallTimes> {
  const { works, release } = openWorks(device);
  const samples = works.map(([name, call]) => ({ name, call, queued: [] as number[], done: [] as number[] }));
  for (let round = 0; round < rounds; ++round) {
    for (const one of samples) {
      const { queued, done } = await watch(OURS, `time per call, ${one.name}`, () => perCall(one.call, calls, device));
      one.queued.push(queued);
      one.done.push(done);
    }
  }
  release();
  const times: CallTime[] = samples.map(({ name, queued, done }) => ({ name, queued: summarize(queued), done: summarize(done) }));
  if (pytorch !== null) {
    try {
      const { trainingForward, backward } = await pytorch.calls(PROBLEM.shape, rounds, calls, seconds);
      times.push({ name: `${EAGER}: forward`, queued: null, done: trainingForward });
      times.push({ name: `${EAGER}: backward`, queued: null, done: backward });
    } catch (error) {
      onFailure(EAGER, error, 'time per call');
    }
  }
  return { shape: PROBLEM.shape, calls, times };
}

function openWorks(device: Device) {
  const inputs = inputsOf(PROBLEM, false, device);
  const { input, gradient, weight, bias, runningMean, runningVar } = inputs;
  const layer = new BatchNorm(PROBLEM.shape[1]!, { device });
  const pass = batchNormTraining(input, { weight, bias });
  const { output: out, statistics } = pass;
  const functional = () => {
    const made = batchNormTraining(input, { weight, bias, runningMean, runningVar, out });
    made.statistics.dispose();
  };
  const works: [string, () => void][] = [
    ['layer: forward', () => void layer.forward(input, { out })],
    [
      'layer: forward and backward',
      () => {
        layer.forward(input, { out });
        disposeAll(layer.backward(gradient));
      },
    ],
    ['function: forward', functional],
    ['function: backward', () => disposeAll(batchNormBackward(gradient, input, { weight, bias, statistics }))],
  ];
  return { works, release: () => [inputs, pass, { layer }].forEach(disposeAll) };
}

async function perCall(call: () => void, calls: number, device: Device): Promise<{ queued: number; done: number }> {
  call();
  await device.synchronize();
  const start = performance.now();
  for (let i = 0; i < calls; ++i) call();
  const queued = performance.now();
  await device.synchronize();
  const done = performance.now();
  return { queued: (queued - start) / 1e3 / calls, done: (done - start) / 1e3 / calls };
}
