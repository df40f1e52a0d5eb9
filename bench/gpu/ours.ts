/** One problem on the GPU: the calls that are timed, and copies that move the same bytes. */

import { nativeDevice, streamOf } from '../../lib/device';
import { BatchNorm, batchNormBackward, batchNormTraining, type Device, type Gradients, type Stream, Tensor } from '../../lib/index';
import { EPS, gradientOf, inputOf, parametersOf } from '../cpu/data';
import { memoryShape, OPERATIONS, type Operation } from '../cpu/problem';
import { fewestBytes, type GpuProblem } from './problem';

export interface Calls {
  /** Queues the operation. */
  operation: Record<Operation, () => void>;
  /** Queues a copy that reads and writes as many bytes as the operation at least does. */
  copy: Record<Operation, () => void>;
  release: () => void;
}

export function openProblem(problem: GpuProblem, device: Device, stream: Stream): Calls {
  const { operation, release } = openLayer(problem, device, stream);
  const copies = openCopies(problem, device, stream);
  return {
    operation,
    copy: copies.copy,
    release: () => {
      release();
      copies.release();
    },
  };
}

function openLayer(problem: GpuProblem, device: Device, stream: Stream) {
  const { dtype, layout } = problem;
  const axis = layout === 'channels first' ? 1 : -1;
  const layer = new BatchNorm(problem.shape[1], { eps: EPS, axis, device });
  const { mean, variance, weight, bias } = parametersOf(problem);
  layer.runningMean!.write(mean);
  layer.runningVar!.write(variance);
  layer.weight!.write(weight);
  layer.bias!.write(bias);
  const shape = memoryShape(problem);
  const input = Tensor.from(inputOf(problem), shape, { device, dtype });
  const gradient = Tensor.from(gradientOf(problem), shape, { device, dtype });
  const out = Tensor.empty(shape, { device, dtype });
  const parameters = { weight: layer.weight, bias: layer.bias, eps: EPS, axis };
  const { statistics } = batchNormTraining(input, { ...parameters, out });
  const operation: Record<Operation, () => void> = {
    inference: () => void layer.eval().forward(input, { out, stream }),
    trainingForward: () => void layer.train().forward(input, { out, stream }),
    backward: () => disposeGradients(batchNormBackward(gradient, input, { ...parameters, statistics, stream })),
  };
  const release = () => {
    for (const owner of [layer, input, gradient, out, statistics]) owner.dispose();
  };
  return { operation, release };
}

// The pool hands their memory to the next call.
function disposeGradients({ input, weight, bias }: Gradients): void {
  for (const tensor of [input, weight, bias]) tensor?.dispose();
}

/** A copy reads half of the bytes that it moves and writes the other half. */
function openCopies(problem: GpuProblem, device: Device, stream: Stream): Pick<Calls, 'copy' | 'release'> {
  const bytes = (operation: Operation) => fewestBytes(problem, operation) / 2;
  const most = Math.max(...OPERATIONS.map(bytes));
  const [from, to] = [0, 1].map((value) => Tensor.full([Math.ceil(most / 4)], value, { device, stream })) as [Tensor, Tensor];
  const native = nativeDevice(device);
  const [source, destination] = [native.wrap(from.pointer, from.byteLength), native.wrap(to.pointer, to.byteLength)];
  const queue = streamOf(device, stream);
  const copy = (operation: Operation) => () => queue.copy(destination, source, bytes(operation));
  return {
    copy: { inference: copy('inference'), trainingForward: copy('trainingForward'), backward: copy('backward') },
    release: () => {
      for (const owner of [from, to]) owner.dispose();
    },
  };
}
