import { inspect } from 'node:util';
import type { NativeStream } from './addon';
import type { Device } from './device';
import { BatchNormError, expected } from './errors';
import { checkEvent, type Event, makeEvent } from './event';
import { checkInternal, INTERNAL } from './validate';

// Set by the class, which keeps what it holds private.
export let makeStream: (device: Device, native: NativeStream) => Stream;
let nativeStream: (stream: Stream) => NativeStream;
let isStream: (value: unknown) => value is Stream;

/**
 * An in-order queue of work on one device, made by {@link Device.createStream}. Operations are queued and return at once; what
 * is queued on one stream runs in the order of the calls. On the CPU device all streams share one queue.
 *
 * Work on different streams of a CUDA device is in no order but that of events ({@link Stream.record}, {@link Stream.wait}), with two
 * exceptions: a new tensor is there for every stream, and `read`, `write` and `to` of a tensor keep order with all streams.
 */
export class Stream {
  /** The device whose work it orders. */
  readonly device: Device;
  readonly #native: NativeStream;

  static {
    makeStream = (device, native) => new Stream(INTERNAL, device, native);
    nativeStream = (stream) => stream.#native;
    isStream = (value): value is Stream => typeof value === 'object' && value !== null && #native in value;
  }

  private constructor(key: unknown, device: Device, native: NativeStream) {
    checkInternal(key, 'Stream', 'device.createStream()');
    this.device = device;
    this.#native = native;
  }

  /**
   * The present end of this stream, for others to wait for.
   *
   * @throws {BatchNormError} `ERR_STATE` while a graph is captured on the device, `ERR_CUDA`.
   */
  record(): Event {
    return makeEvent(this.device, this.#native.record());
  }

  /**
   * Lets everything queued on this stream from now on wait for an event of another stream of the same device. Returns at once.
   *
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DISPOSED`, `ERR_DEVICE_MISMATCH`, `ERR_STATE` while a graph is captured on the
   * device, `ERR_CUDA`.
   */
  wait(event: Event): void {
    this.#native.wait(checkEvent(event, 'event', this.device));
  }

  /** Resolves when everything queued on this stream so far is done. Rejects with the error of work that failed. */
  synchronize(): Promise<void> {
    return this.#native.synchronize();
  }

  /** Blocks the calling thread, event loop included, until everything queued on this stream so far is done. */
  synchronizeSync(): void {
    this.#native.synchronizeSync();
  }

  /** The stream by its device. */
  toString(): string {
    return `Stream on ${this.device.name}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}

/** The queue that a call with this `stream` option goes to: the device's default where it was left out. */
export function checkStream(value: unknown, device: Device, byDefault: NativeStream): NativeStream {
  if (value === undefined) return byDefault;
  if (!isStream(value)) throw expected('a Stream', 'options.stream', value);
  if (value.device !== device) {
    throw new BatchNormError(
      'ERR_DEVICE_MISMATCH',
      `Expected a stream of device ${device.name} for options.stream but received one of ${value.device.name}`,
    );
  }
  return nativeStream(value);
}
