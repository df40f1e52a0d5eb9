/** Times of candidates on the GPU, out of a cold cache. */

import { nativeDevice } from '../../../lib/device';
import { batchNormBackward, batchNormTraining, type Device, type Stream, Tensor } from '../../../lib/index';
import { median } from '../../cpu/statistics';
import type { Budget } from '../budget';
import type { Clock } from '../clock';
import { reasonOf } from '../failures';
import { parametersOf, repeated, SEEDS } from '../inputs';
import { axisOf, type GpuProblem, memoryShape, problemName } from '../problem';
import { choicesFor, TUNED_OPERATIONS, type TunedOperation } from './candidates';

/** One way to do one thing, and how long it took. */
export interface Point {
  problem: GpuProblem;
  operation: TunedOperation;
  choice: string;
  seconds: number;
}

/** What could not be measured: a choice, or where there is none all that was left of the problem. */
export interface FailedChoice {
  problem: GpuProblem;
  choice: string | null;
  reason: string;
}

export interface Measured {
  points: Point[];
  failures: FailedChoice[];
  /** The problems that the budget did not suffice for. */
  leftOut: string[];
}

export interface Measuring {
  device: Device;
  stream: Stream;
  clock: Pick<Clock, 'cold'>;
  rounds: number;
  budget: Budget;
  onProblem: (problem: GpuProblem) => void;
  /** After each problem, measured or not. */
  onMeasured: () => void;
}

/** Adds to what is measured problem by problem, until the budget is spent. Nothing that fails ends it. */
export async function measurePoints(problems: readonly GpuProblem[], measuring: Measuring, measured: Measured): Promise<void> {
  for (const problem of problems) {
    if (measuring.budget.left() === 0) {
      measured.leftOut.push(problemName(problem));
    } else {
      measuring.onProblem(problem);
      await measureProblem(problem, measuring, measured).catch((error: unknown) => {
        measured.failures.push({ problem, choice: null, reason: reasonOf(error) });
      });
    }
    measuring.onMeasured();
  }
}

async function measureProblem(problem: GpuProblem, measuring: Measuring, measured: Measured): Promise<void> {
  const { device, stream } = measuring;
  const { calls, release } = await openCalls(problem, device, stream);
  try {
    for (const operation of TUNED_OPERATIONS as readonly TunedOperation[]) {
      await measureOperation(problem, operation, calls[operation], measuring, measured);
    }
  } finally {
    nativeDevice(device).native.force('');
    release();
  }
}

/** The choices take turns. One that fails is not asked again. */
async function measureOperation(
  problem: GpuProblem,
  operation: TunedOperation,
  call: () => void,
  { device, clock, rounds }: Measuring,
  { points, failures }: Measured,
): Promise<void> {
  const { native } = nativeDevice(device);
  const series = new Map<string, number[]>(choicesFor(native, problem, operation).map((choice) => [choice, []]));
  for (let round = 0; round < rounds; ++round) {
    for (const [choice, seconds] of series) {
      try {
        native.force(choice);
        seconds.push(await clock.cold(call));
      } catch (error) {
        failures.push({ problem, choice, reason: `${operation}: ${reasonOf(error)}` });
        series.delete(choice);
      }
    }
  }
  points.push(...[...series].map(([choice, seconds]) => ({ problem, operation, choice, seconds: median(seconds) })));
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
