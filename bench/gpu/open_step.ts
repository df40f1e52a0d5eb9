/** A network's batch norms as one call: all layers forward, then all backward in the reverse order, on one stream. */

import { type BackendName, BatchNorm, type Stream, Tensor } from '../../lib/index';
import { EPS } from '../cpu/data';
import { openCopiesInTurn } from './copies';
import { disposeAll, repeated, SEEDS } from './inputs';
import type { StepLayer } from './plan';
import { axisOf, channelsOf, fewestBytes, type GpuProblem, memoryShape } from './problem';

export type LayerProblem = GpuProblem & StepLayer;

export interface OpenStep {
  /** Queues the step. Without a stream: on the device's own, as a capture wants it. */
  call: (stream?: Stream) => void;
  release: () => void;
}

/** Every layer has tensors of its own, as in a network. */
export function openStep(problems: readonly LayerProblem[], backend: BackendName, { device }: Stream): OpenStep {
  const owned: object[] = [];
  const release = () => owned.forEach(disposeAll);
  const own = <T extends object>(owners: T): T => {
    owned.push(owners);
    return owners;
  };
  const open = (problem: LayerProblem) => {
    const { fused, dtype } = problem;
    const activation = fused === 'none' ? ('identity' as const) : ('relu' as const);
    const tensor = (seed: number) => repeated(seed, memoryShape(problem), device, dtype);
    return {
      ...own({ layer: new BatchNorm(channelsOf(problem), { eps: EPS, axis: axisOf(problem), activation, device, backend }) }),
      ...own({ input: tensor(SEEDS.input) }),
      ...own({ gradient: tensor(SEEDS.gradient) }),
      ...own({ residual: fused === 'add+relu' ? tensor(SEEDS.residual) : null }),
      ...own({ out: Tensor.empty(memoryShape(problem), { device, dtype }) }),
    };
  };
  try {
    const layers = problems.map(open);
    const call = (stream?: Stream) => {
      for (const { layer, input, residual, out } of layers) layer.forward(input, { residual, out, stream });
      for (const { layer, gradient } of [...layers].reverse()) disposeAll(layer.backward(gradient, { stream }));
    };
    return { call, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** The same step, captured once and launched by each call. */
export function openGraph(problems: readonly LayerProblem[], backend: BackendName, stream: Stream): OpenStep {
  const { call, release } = openStep(problems, backend, stream);
  try {
    const graph = stream.device.capture(call);
    const releaseBoth = () => {
      graph.dispose();
      release();
    };
    return { call: (on) => graph.launch({ stream: on }), release: releaseBoth };
  } catch (error) {
    release();
    throw error;
  }
}

/** Copies of as many bytes as each of the operations at least moves, one after the other. */
export function openCopyStep(bytes: readonly number[], stream: Stream): OpenStep {
  const { calls, release } = openCopiesInTurn(bytes, stream.device, stream);
  return {
    call: () => {
      for (const call of calls) call();
    },
    release,
  };
}

/** Of each operation of the step. */
export const bytesOf = (problems: readonly LayerProblem[]): number[] =>
  (['trainingForward', 'backward'] as const).flatMap((operation) =>
    problems.map((problem) => fewestBytes(problem, operation, problem.fused)),
  );
