/** Ours, and cuDNN in each of its modes: calls of this package's API on the same tensors, in this process. */

import { type BackendName, batchNormBackward, batchNormInference, batchNormTraining, Device, type Stream, Tensor } from '../../lib/index';
import { EPS } from '../cpu/data';
import type { Operation } from '../cpu/problem';
import type { OnFailure } from './failures';
import { disposeAll, type Inputs } from './inputs';
import type { Fused } from './networks';
import { axisOf, caseName, type GpuProblem } from './problem';
import type { Watch } from './watchdog';

export const OURS = 'ours';

/** By the name it has in the report. */
export const BACKENDS: Readonly<Record<string, BackendName>> = {
  [OURS]: 'native',
  'cuDNN spatial': 'cudnn:spatial',
  'cuDNN spatial-persistent': 'cudnn:spatial-persistent',
  'cuDNN per-activation': 'cudnn:per-activation',
};

const cudnnReport = () => Device.report().find(({ name }) => name === 'cudnn')!;

/** Why cuDNN is not there; null where it is. */
export const cudnnMissing = (): string | null => cudnnReport().reason ?? null;
export const cudnnVersion = (): string | null => cudnnReport().version ?? null;

/** The names of those that can take part. */
export const backendsHere = (): string[] => Object.keys(BACKENDS).filter((name) => name === OURS || cudnnMissing() === null);

/** One implementation with a problem opened, and what of it can be called. */
export interface Contender {
  name: string;
  /** Queues the operation. */
  calls: Map<Operation, () => void>;
  release: () => void;
}

/** Each operation is tried once, and done when this resolves. */
export async function openContender(
  name: string,
  problem: GpuProblem,
  fused: Fused,
  inputs: Inputs,
  stream: Stream,
  operations: readonly Operation[],
  { onFailure, watch }: { onFailure: OnFailure; watch: Watch },
): Promise<Contender> {
  const { open, release } = callsOf(BACKENDS[name]!, problem, fused, inputs, stream);
  const contender: Contender = { name, calls: new Map(), release };
  for (const operation of operations) {
    try {
      const call = open[operation]();
      await watch(name, caseName(problem, operation, fused), async () => {
        call();
        await stream.synchronize();
      });
      contender.calls.set(operation, call);
    } catch (error) {
      onFailure(name, error, caseName(problem, operation, fused));
    }
  }
  return contender;
}

function callsOf(backend: BackendName, problem: GpuProblem, fused: Fused, inputs: Inputs, stream: Stream) {
  const { input, gradient, residual, weight, bias, runningMean, runningVar } = inputs;
  const { device, dtype, shape } = input;
  const activation = fused === 'none' ? ('identity' as const) : ('relu' as const);
  const options = { weight, bias, eps: EPS, axis: axisOf(problem), activation, backend, stream };
  const output = Tensor.empty(shape, { device, dtype });
  const owned: object[] = [{ output }];
  const open: Record<Operation, () => () => void> = {
    inference: () => () => void batchNormInference(input, runningMean, runningVar, { ...options, residual, out: output }),
    trainingForward: () => () => {
      const { statistics, mask } = batchNormTraining(input, { ...options, runningMean, runningVar, residual, out: output });
      disposeAll({ statistics, mask });
    },
    // One pass is saved, and its backward done again and again.
    backward: () => {
      const pass = batchNormTraining(input, { ...options, residual });
      owned.push(pass);
      const { statistics, mask } = pass;
      const kept = fused === 'none' ? {} : { output: pass.output };
      return () => disposeAll(batchNormBackward(gradient, input, { ...options, ...kept, statistics, mask }));
    },
  };
  return { open, release: () => owned.forEach(disposeAll) };
}
