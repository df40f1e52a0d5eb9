import { inspect } from 'node:util';
import type { NativeEvent } from './addon';
import type { Device } from './device';
import { BatchNormError, expected } from './errors';
import { checkInternal, INTERNAL } from './validate';

// Set by the class, which keeps what it holds private.
export let makeEvent: (device: Device, native: NativeEvent) => Event;
let isEvent: (value: unknown) => value is Event;
let nativeEvent: (event: Event) => NativeEvent | undefined;

/**
 * A place in the order of a stream, made by {@link Stream.record}: after the work that was queued there before. Other streams can be made
 * to wait for it, and so can the host.
 */
export class Event implements Disposable {
  /** The device of the stream. */
  readonly device: Device;
  readonly #native: NativeEvent;
  #disposed = false;
  #waits = 0; // that have not ended

  static {
    makeEvent = (device, native) => new Event(INTERNAL, device, native);
    isEvent = (value): value is Event => typeof value === 'object' && value !== null && #native in value;
    nativeEvent = (event) => (event.#disposed ? undefined : event.#native);
  }

  private constructor(key: unknown, device: Device, native: NativeEvent) {
    checkInternal(key, 'Event', 'stream.record()');
    this.device = device;
    this.#native = native;
  }

  /** Whether {@link Event.dispose} was called. */
  get disposed(): boolean {
    return this.#disposed;
  }

  /**
   * Resolves when the work before the event is done; on the CPU device, when all work queued so far is. Rejects with the error of work
   * that failed.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_CUDA`, by rejection.
   */
  async synchronize(): Promise<void> {
    const native = checkEvent(this, 'this', this.device);
    await this.#during(native.synchronize());
  }

  /**
   * Resolves, when the work before both events is done, to the milliseconds from `earlier` to this event, as the device measured them.
   *
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DEVICE_MISMATCH`, and as {@link Event.synchronize}, by rejection.
   */
  async elapsed(earlier: Event): Promise<number> {
    const start = checkEvent(earlier, 'earlier', this.device);
    const end = checkEvent(this, 'this', this.device);
    const both = Promise.all([start.synchronize(), end.synchronize()]);
    return earlier.#during(this.#during(both.then(() => end.since(start))));
  }

  /** Gives the event back; streams that were made to wait for it, and promises, do so all the same. A second call does nothing. */
  dispose(): void {
    this.#disposed = true;
    this.#letGo();
  }

  /** As {@link Event.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  async #during<T>(wait: Promise<T>): Promise<T> {
    this.#waits += 1;
    try {
      return await wait;
    } finally {
      this.#waits -= 1;
      this.#letGo();
    }
  }

  #letGo(): void {
    if (this.#disposed && this.#waits === 0) this.#native.release();
  }

  /** The event by its device. */
  toString(): string {
    return `Event on ${this.device.name}${this.disposed ? ', disposed' : ''}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** An argument that must be a live event of `device`. */
export function checkEvent(value: unknown, name: string, device: Device): NativeEvent {
  if (!isEvent(value)) throw expected('an Event', name, value);
  const native = nativeEvent(value);
  if (native === undefined) throw expected('an event that is not disposed', name, value, 'ERR_DISPOSED');
  if (value.device !== device) {
    throw new BatchNormError(
      'ERR_DEVICE_MISMATCH',
      `Expected an event of device ${device.name} for ${name} but received one of ${value.device.name}`,
    );
  }
  return native;
}
