import type { NativeBuffer } from './addon';

/** Native buffers that were released, kept to hold other blocks of their device: making and collecting one takes longer than a small call. */
export type IdleBuffers = NativeBuffer[];

const MOST_IDLE = 64;

/**
 * One block of device memory and the number of its owners: tensors, and forward passes saved for backward. The last one to let
 * go gives the block back. Where an owner was collected without letting go, the finalizer of the native buffer does it.
 */
export class Storage {
  /** Rises with every write, so that backward notices that what it saved was changed. */
  version = 0;
  #native: NativeBuffer | undefined;
  readonly #idle: IdleBuffers | undefined;
  #owners = 1;

  /** @param idle - where the native buffer goes in the end; left out for memory owned elsewhere. */
  constructor(native: NativeBuffer, idle?: IdleBuffers) {
    this.#native = native;
    this.#idle = idle;
  }

  /** Of a storage that has owners. */
  get native(): NativeBuffer {
    if (this.#native === undefined) throw new Error('Expected memory that has an owner but received released memory');
    return this.#native;
  }

  retain(): this {
    this.#owners += 1;
    return this;
  }

  release(): void {
    this.#owners -= 1;
    if (this.#owners !== 0) return;
    const { native } = this;
    this.#native = undefined;
    native.release();
    if (this.#idle !== undefined && this.#idle.length < MOST_IDLE) this.#idle.push(native);
  }
}
