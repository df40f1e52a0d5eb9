/** Copies on the device, which move as many bytes as an operation at least does: the floor of its time. */

import type { NativeBuffer } from '../../lib/addon';
import { nativeDevice, streamOf } from '../../lib/device';
import { type Device, type Stream, Tensor } from '../../lib/index';

export interface Copies {
  /** A call that queues a copy which reads half of the bytes and writes as many. */
  of: (bytes: number) => () => void;
  release: () => void;
}

/** What copies go through before they come to the same place again, at least: several times what any L2 cache holds. */
const ROUND_BYTES = 2 ** 29;
/** As tensors are aligned. */
const ALIGNMENT = 256;

/** All of them begin at the same place: what a copy left in the L2 cache, the next one finds. */
export function openCopies(mostBytes: number, device: Device, stream: Stream): Copies {
  const { copy, release } = openBuffers(halfOf(mostBytes), device, stream);
  return { of: (bytes) => copy(0, halfOf(bytes)), release };
}

/** A copy for each number of bytes. They go through large buffers, so that each finds its bytes in no cache, as operations on tensors of their own. */
export function openCopiesInTurn(bytes: readonly number[], device: Device, stream: Stream) {
  const halves = bytes.map(halfOf);
  const { offsets, size } = placesOf(halves, ROUND_BYTES);
  const { copy, release } = openBuffers(size, device, stream);
  return { calls: halves.map((half, index) => copy(offsets[index]!, half)), release };
}

/** One behind the other, and from the start again where the next would end behind `most`; one that is larger itself begins at 0. */
export function placesOf(sizes: readonly number[], most: number): { offsets: number[]; size: number } {
  let end = 0;
  const offsets = sizes.map((size) => {
    const aligned = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    const offset = aligned + size <= most ? aligned : 0;
    end = offset + size;
    return offset;
  });
  return { offsets, size: Math.max(...offsets.map((offset, index) => offset + sizes[index]!)) };
}

const halfOf = (bytes: number): number => Math.ceil(bytes / 2);

function openBuffers(bytes: number, device: Device, stream: Stream) {
  const [from, to] = [0, 1].map((value) => Tensor.full([Math.ceil(bytes / 4)], value, { device, stream })) as [Tensor, Tensor];
  const native = nativeDevice(device);
  const queue = streamOf(device, stream);
  return {
    copy: (offset: number, size: number) => {
      const [source, destination] = [from, to].map(({ pointer }) => native.wrap(pointer + BigInt(offset), size)) as [
        NativeBuffer,
        NativeBuffer,
      ];
      return () => queue.copy(destination, source, size);
    },
    release: () => {
      for (const owner of [from, to]) owner.dispose();
    },
  };
}
