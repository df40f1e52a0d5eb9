import { inspect } from 'node:util';
import type { Device } from './device';
import { BatchNormError, expected } from './errors';
import type { Problem } from './problem';
import type { Storage } from './storage';
import { checkInternal, INTERNAL } from './validate';
import { maskBytes } from './virtual_batches';

// Set by the class, which keeps what it holds private.
export let makeMask: (storage: Storage, device: Device, ofResidual: boolean) => Mask;
let isMask: (value: unknown) => value is Mask;
let storageOf: (mask: Mask) => Storage | undefined;
let isOfResidual: (mask: Mask) => boolean;

/**
 * What {@link batchNormTraining} saves so that {@link batchNormBackward} can do without the residual: on which side of zero each value
 * fell before the activation. With cuDNN: its reserve space. Opaque, and smaller than the residual.
 */
export class Mask implements Disposable {
  /** Where it is. */
  readonly device: Device;
  /** Its size in bytes. */
  readonly byteLength: number;
  #storage: Storage | undefined;
  readonly #ofResidual: boolean;

  static {
    makeMask = (storage, device, ofResidual) => new Mask(INTERNAL, storage, device, ofResidual);
    isMask = (value): value is Mask => typeof value === 'object' && value !== null && #storage in value;
    storageOf = (mask) => mask.#storage;
    isOfResidual = (mask) => mask.#ofResidual;
  }

  private constructor(key: unknown, storage: Storage, device: Device, ofResidual: boolean) {
    checkInternal(key, 'Mask', 'batchNormTraining(input, { residual })');
    this.#storage = storage;
    this.#ofResidual = ofResidual;
    this.device = device;
    this.byteLength = storage.native.byteLength;
  }

  /** Whether {@link Mask.dispose} was called. */
  get disposed(): boolean {
    return this.#storage === undefined;
  }

  /** Gives the memory back; safe while work that uses it is queued. A second call does nothing. */
  dispose(): void {
    this.#storage?.release();
    this.#storage = undefined;
  }

  /** As {@link Mask.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Size and device. */
  toString(): string {
    return `Mask of ${this.byteLength} bytes on ${this.device.name}${this.disposed ? ', disposed' : ''}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** The storage of a mask that fits the problem, null where it was left out, and whether there was a residual. */
export function checkMask(value: unknown, name: string, problem: Problem): { mask: Storage | null; ofResidual: boolean } {
  if (value === undefined || value === null) return { mask: null, ofResidual: false };
  if (!isMask(value)) throw expected('a Mask made by batchNormTraining', name, value);
  const storage = storageOf(value);
  const { device } = problem.settings;
  if (storage === undefined) throw expected('a mask that is not disposed', name, value, 'ERR_DISPOSED');
  if (value.device !== device) throw expected(`a mask on device ${device.name}`, name, value, 'ERR_DEVICE_MISMATCH');
  const ofResidual = isOfResidual(value);
  const bytes = maskBytes(problem, ofResidual);
  if (bytes === 0) throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected no ${name} for this activation: give the residual itself`);
  if (value.byteLength !== bytes) throw expected(`a mask of ${bytes} bytes`, name, value, 'ERR_SHAPE');
  return { mask: storage, ofResidual };
}
