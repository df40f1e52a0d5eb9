import type { NativeBuffer } from './addon';

/**
 * One block of device memory and the number of its owners: tensors, and forward passes saved for backward. The last one to let
 * go gives the block back. Where an owner was collected without letting go, the finalizer of the native buffer does it.
 */
export class Storage {
  /** Rises with every write, so that backward notices that what it saved was changed. */
  version = 0;
  readonly native: NativeBuffer;
  #owners = 1;

  constructor(native: NativeBuffer) {
    this.native = native;
  }

  retain(): this {
    this.#owners += 1;
    return this;
  }

  release(): void {
    this.#owners -= 1;
    if (this.#owners === 0) this.native.release();
  }
}
