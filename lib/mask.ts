import { inspect } from 'node:util';
import type { Device } from './device';
import { BatchNormError, expected } from './errors';
import { maskBytes } from './operations';
import type { Problem } from './problem';
import type { Storage } from './storage';
import { checkInternal, INTERNAL } from './validate';

// Set by the class, which keeps what it holds private.
export let makeMask: (storage: Storage, device: Device) => Mask;
let isMask: (value: unknown) => value is Mask;
let storageOf: (mask: Mask) => Storage | undefined;

/**
 * What {@link batchNormTraining} saves so that {@link batchNormBackward} can do without the residual: on which side of zero each value
 * fell before the activation. Opaque, and smaller than the residual.
 */
export class Mask implements Disposable {
  /** Where it is. */
  readonly device: Device;
  /** Its size in bytes. */
  readonly byteLength: number;
  #storage: Storage | undefined;

  static {
    makeMask = (storage, device) => new Mask(INTERNAL, storage, device);
    isMask = (value): value is Mask => typeof value === 'object' && value !== null && #storage in value;
    storageOf = (mask) => mask.#storage;
  }

  private constructor(key: unknown, storage: Storage, device: Device) {
    checkInternal(key, 'Mask', 'batchNormTraining(input, { residual })');
    this.#storage = storage;
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

/** The storage of a mask that fits the problem; null where it was left out. */
export function checkMask(value: unknown, name: string, problem: Problem): Storage | null {
  if (value === undefined || value === null) return null;
  if (!isMask(value)) throw expected('a Mask made by batchNormTraining', name, value);
  const storage = storageOf(value);
  const { device } = problem.settings;
  if (storage === undefined) throw expected('a mask that is not disposed', name, value, 'ERR_DISPOSED');
  if (value.device !== device) throw expected(`a mask on device ${device.name}`, name, value, 'ERR_DEVICE_MISMATCH');
  const bytes = maskBytes(problem);
  if (bytes === 0) throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected no ${name} for this activation: give the residual itself`);
  if (value.byteLength !== bytes) throw expected(`a mask of ${bytes} bytes`, name, value, 'ERR_SHAPE');
  return storage;
}
