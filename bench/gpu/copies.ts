/** Copies on the device, which move as many bytes as an operation at least does: the floor of its time. */

import { nativeDevice, streamOf } from '../../lib/device';
import { type Device, type Stream, Tensor } from '../../lib/index';

export interface Copies {
  /** A call that queues a copy which reads half of the bytes and writes as many. */
  of: (bytes: number) => () => void;
  release: () => void;
}

export function openCopies(mostBytes: number, device: Device, stream: Stream): Copies {
  const values = Math.ceil(mostBytes / 2 / 4);
  const [from, to] = [0, 1].map((value) => Tensor.full([values], value, { device, stream })) as [Tensor, Tensor];
  const native = nativeDevice(device);
  const [source, destination] = [native.wrap(from.pointer, from.byteLength), native.wrap(to.pointer, to.byteLength)];
  const queue = streamOf(device, stream);
  return {
    of: (bytes) => () => queue.copy(destination, source, Math.ceil(bytes / 2)),
    release: () => {
      for (const owner of [from, to]) owner.dispose();
    },
  };
}
