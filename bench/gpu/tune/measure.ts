/** Times of candidates on the GPU, out of a cold cache. */

import { nativeDevice } from '../../../lib/device';
import { batchNormBackward, batchNormTraining, type Device, type Stream, Tensor } from '../../../lib/index';
import { median } from '../../cpu/statistics';
import type { Budget } from '../budget';
import type { Clock } from '../clock';
import { parametersOf, repeated, SEEDS } from '../inputs';
import { axisOf, type GpuProblem, memoryShape } from '../problem';
import { choicesFor, TUNED_OPERATIONS, type TunedOperation } from './candidates';

/** One way to do one thing, and how long it took. */
export interface Point {
  problem: GpuProblem;
  operation: TunedOperation;
  choice: string;
  seconds: number;
}

export interface Measuring {
  device: Device;
  stream: Stream;
  clock: Pick<Clock, 'cold'>;
  rounds: number;
  budget: Budget;
  onProblem: (problem: GpuProblem) => void;
}

/** Problem by problem, until the budget is spent. */
export async function measurePoints(problems: readonly GpuProblem[], measuring: Measuring): Promise<Point[]> {
  const points: Point[] = [];
  for (const problem of problems) {
    if (measuring.budget.left() === 0) break;
    measuring.onProblem(problem);
    points.push(...(await measureProblem(problem, measuring)));
  }
  return points;
}

/** The choices take turns. */
async function measureProblem(problem: GpuProblem, { device, stream, clock, rounds }: Measuring): Promise<Point[]> {
  const { native } = nativeDevice(device);
  const { calls, release } = await openCalls(problem, device, stream);
  const points: Point[] = [];
  try {
    for (const operation of TUNED_OPERATIONS as readonly TunedOperation[]) {
      const series = choicesFor(native, problem, operation).map((choice) => ({ choice, seconds: [] as number[] }));
      for (let round = 0; round < rounds; ++round) {
        for (const { choice, seconds } of series) {
          native.force(choice);
          seconds.push(await clock.cold(calls[operation]));
        }
      }
      points.push(...series.map(({ choice, seconds }) => ({ problem, operation, choice, seconds: median(seconds) })));
    }
  } finally {
    native.force('');
    release();
  }
  return points;
}

async function openCalls(problem: GpuProblem, device: Device, stream: Stream) {
  const shape = memoryShape(problem);
  const axis = axisOf(problem);
  const [input, gradient] = [SEEDS.input, SEEDS.gradient].map((seed) => repeated(seed, shape, device, problem.dtype)) as [Tensor, Tensor];
  const out = Tensor.empty(shape, { device, dtype: problem.dtype });
  const { weight, bias, runningMean, runningVar } = parametersOf(problem, device);
  const { statistics } = batchNormTraining(input, { weight, bias, axis, out });
  await device.synchronize();
  const disposeAll = (tensors: Iterable<Tensor | null | undefined>) => {
    for (const tensor of tensors) tensor?.dispose();
  };
  const calls: Record<TunedOperation, () => void> = {
    trainingForward: () => batchNormTraining(input, { weight, bias, runningMean, runningVar, axis, out, stream }).statistics.dispose(),
    backward: () => disposeAll(Object.values(batchNormBackward(gradient, input, { weight, bias, axis, statistics, stream }))),
  };
  return { calls, release: () => disposeAll([input, gradient, out, weight, bias, runningMean, runningVar, statistics]) };
}
