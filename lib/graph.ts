import { inspect } from 'node:util';
import type { NativeGraph, NativeStream } from './addon';
import type { Device } from './device';
import { expected } from './errors';
import { checkStream, type Stream } from './stream';
import { checkInternal, checkOptions, INTERNAL } from './validate';

// Set by the class, which keeps what it holds private.
export let makeGraph: (device: Device, native: NativeGraph, stream: NativeStream, atLaunch: readonly (() => void)[]) => Graph;

/** Options of {@link Graph.launch}. */
export interface LaunchOptions {
  /** The queue to run on; the device's own when left out. */
  stream?: Stream | undefined;
}

/**
 * Work that was captured by {@link Device.capture}, to be done again and again on the same memory at the price of one operation.
 *
 * It reads and writes the tensors it was captured with, and keeps their memory until it is disposed, though they be disposed before; but
 * what another library owns (`Tensor.fromPointer`, `Tensor.fromDLPack`) must be kept as long as the graph is launched. A
 * training pass of a layer in it updates the running statistics at each launch, and counts as a batch at each launch.
 */
export class Graph implements Disposable {
  /** Whose work it is. */
  readonly device: Device;
  readonly #defaultStream: NativeStream;
  readonly #atLaunch: readonly (() => void)[];
  #native: NativeGraph | undefined;

  static {
    makeGraph = (device, native, stream, atLaunch) => new Graph(INTERNAL, device, native, stream, atLaunch);
  }

  private constructor(key: unknown, device: Device, native: NativeGraph, stream: NativeStream, atLaunch: readonly (() => void)[]) {
    checkInternal(key, 'Graph', 'device.capture(fn)');
    this.device = device;
    this.#defaultStream = stream;
    this.#atLaunch = atLaunch;
    this.#native = native;
  }

  /** Whether {@link Graph.dispose} was called. */
  get disposed(): boolean {
    return this.#native === undefined;
  }

  /**
   * Does the captured work once more: queued at once, done in the order of the stream. Launches of one graph never overlap.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_INVALID_ARGUMENT`, `ERR_DEVICE_MISMATCH`, `ERR_STATE` while a graph is captured on the
   * device, `ERR_CUDA`.
   */
  launch(options?: LaunchOptions): void {
    checkOptions(options, ['stream']);
    if (this.#native === undefined) throw expected('a graph that is not disposed', 'this', this, 'ERR_DISPOSED');
    this.#native.launch(checkStream(options?.stream, this.device, this.#defaultStream));
    for (const action of this.#atLaunch) action();
  }

  /** Gives the graph and the memory it kept back; safe while launches are queued. A second call does nothing. */
  dispose(): void {
    this.#native?.release();
    this.#native = undefined;
  }

  /** As {@link Graph.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The graph by its device. */
  toString(): string {
    return `Graph on ${this.device.name}${this.disposed ? ', disposed' : ''}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }
}
