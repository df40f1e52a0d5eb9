/** One problem on the GPU: the calls that are timed, and copies that move the same bytes. */

import { nativeDevice, streamOf } from '../../lib/device';
import { type Device, type Stream, Tensor } from '../../lib/index';
import { openLayer } from '../cpu/ours';
import { OPERATIONS, type Operation } from '../cpu/problem';
import { fewestBytes, type GpuProblem } from './problem';

export interface Calls {
  /** Queues the operation. */
  operation: Record<Operation, () => void>;
  /** Queues a copy that reads and writes as many bytes as the operation at least does. */
  copy: Record<Operation, () => void>;
  release: () => void;
}

export function openProblem(problem: GpuProblem, device: Device, stream: Stream): Calls {
  const layer = openLayer(problem, { device, dtype: problem.dtype, stream });
  const copies = openCopies(problem, device, stream);
  return {
    operation: layer.call,
    copy: copies.copy,
    release: () => {
      layer.release();
      copies.release();
    },
  };
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
