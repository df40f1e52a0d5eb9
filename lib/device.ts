import { inspect, types } from 'node:util';
import { addon, type BackendCause, type NativeDevice, type NativeStream } from './addon';
import { captureOf, refuseCapture, runCaptured } from './capture';
import { BatchNormError, expected } from './errors';
import { type Graph, makeGraph } from './graph';
import { checkStream, makeStream, type Stream } from './stream';
import { checkInteger, checkInternal, INTERNAL } from './validate';

/** Names of devices: `'cuda'` is `'cuda:0'`; `'auto'` is `'cuda:0'` where it works and `'cpu'` elsewhere. */
export type DeviceName = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** What one backend says of itself on this machine. */
export interface BackendReport {
  /** `'cpu'`, `'cuda'` or `'cudnn'`. */
  readonly name: string;
  /** Whether it works here. */
  readonly available: boolean;
  /** Why it does not; absent where it does. */
  readonly reason?: string;
  /**
   * The same for programs: the native addon cannot be loaded (`'addon'`); this build does not contain the backend (`'not-built'`); there is
   * no NVIDIA driver, or one older than the CUDA runtime; there is no GPU, or none of a generation that is supported; the backend's library
   * is not found, of another major version, or cannot be loaded; CUDA, which the library needs, does not work (`'no-cuda'`); the library
   * reports an error (`'failed'`).
   */
  readonly cause?: BackendCause;
  /** Version of its library; for the CPU the instruction set and number of threads. Absent where unknown. */
  readonly version?: string;
  /** File of a library that was opened at run time: cuDNN's. */
  readonly path?: string;
}

/** Memory of a device, in bytes. */
export interface MemoryUse {
  /** Held by tensors, by passes saved for backward, by graphs and by what was given to other libraries, now. */
  readonly live: number;
  /** The most that was ever live at once. */
  readonly peak: number;
  /** Taken from the system: live memory, rounding, and blocks kept for reuse. */
  readonly reserved: number;
  /** The most that may be reserved. CUDA reserves in large pieces: on its devices the limit holds for live memory to the byte. */
  readonly limit: number;
}

// Set by the class, which keeps what it holds private.
export let nativeDevice: (device: Device) => NativeDevice;
let makeDevice: (native: NativeDevice) => Device;
let defaultStream: (device: Device) => NativeStream;
let isDevice: (value: unknown) => value is Device;

// By every name they were asked for, 'auto' included.
const devices = new Map<unknown, Device>();

/** A processor with its own memory that tensors live on and operations run on. There is one object per device. */
export class Device {
  /** The kind of device. */
  readonly type: 'cpu' | 'cuda';
  /** `'cpu'`, `'cuda:0'`, … */
  readonly name: string;
  /** For people: `'NVIDIA H200, compute capability 9.0, 139 GiB'`. */
  readonly description: string;
  readonly #native: NativeDevice;
  readonly #defaultStream: NativeStream;

  static {
    makeDevice = (native) => new Device(INTERNAL, native);
    defaultStream = (device) => device.#defaultStream;
    nativeDevice = (device) => device.#native;
    isDevice = (value): value is Device => typeof value === 'object' && value !== null && #native in value;
  }

  private constructor(key: unknown, native: NativeDevice) {
    checkInternal(key, 'Device', 'Device.get(name)');
    this.#native = native;
    this.#defaultStream = native.defaultStream;
    this.type = native.type;
    this.name = native.name;
    this.description = native.description;
  }

  /**
   * The device of that name; a device gives itself. Only `'auto'`, the default, falls back to another device.
   *
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` for a name that no device can have, `ERR_DEVICE_UNAVAILABLE` with the reason
   * where the device does not work here, `ERR_ADDON` where the native addon cannot be loaded.
   */
  static get(name: DeviceName | (string & {}) | Device = 'auto'): Device {
    return checkDevice(name, 'name');
  }

  /** The devices that work here. @throws {BatchNormError} `ERR_ADDON` where the native addon cannot be loaded. */
  static list(): readonly Device[] {
    return addon()
      .deviceNames()
      .flatMap((name) => openIfItWorks(name) ?? []);
  }

  /** Every backend this package knows, and why those that do not work here do not. Never throws. */
  static report(): readonly BackendReport[] {
    try {
      return addon()
        .report()
        .map(({ name, available, reason, cause, version, path }) => ({
          name,
          available,
          ...(reason && { reason }),
          ...(cause && { cause }),
          ...(version && { version }),
          ...(path && { path }),
        }));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return ['cpu', 'cuda', 'cudnn'].map((name) => ({ name, available: false, reason, cause: 'addon' }));
    }
  }

  /** A new queue of work on this device. @throws {BatchNormError} `ERR_OUT_OF_MEMORY`, `ERR_CUDA`. */
  createStream(): Stream {
    return makeStream(this, this.#native.createStream());
  }

  /**
   * Records the work that `fn` queues on this device, without doing it, as a graph to be launched again and again.
   *
   * All work that `fn` queues must leave its `stream` option out. What the host takes part in (`Tensor.from`, `write`, `read`,
   * `synchronize`, events) cannot be part of a graph and throws `ERR_STATE`. New tensors get their memory during the capture, and their
   * elements at the first launch.
   *
   * @param fn - must be done when it returns: it may not be asynchronous. What it throws is thrown on, and nothing is left of the capture; a
   * pass saved before that it used is used up.
   * @throws {BatchNormError} `ERR_STATE` on the CPU device, which has no graphs, and within another capture; `ERR_INVALID_ARGUMENT`,
   * `ERR_OUT_OF_MEMORY`, `ERR_CUDA`.
   */
  capture(fn: () => void): Graph {
    if (typeof fn !== 'function') throw expected('a function', 'fn', fn);
    const atLaunch: (() => void)[] = [];
    const atFailure: (() => void)[] = [];
    try {
      const native = this.#native.capture((stream) => {
        const result = runCaptured(this, { stream, atLaunch, atFailure }, fn);
        if (types.isPromise(result)) {
          result.catch(() => {}); // the error thrown here is the one that counts
          throw expected('a function that is done when it returns', 'fn', fn);
        }
      });
      return makeGraph(this, native, this.#defaultStream, atLaunch);
    } catch (error) {
      for (const action of atFailure) action();
      throw error;
    }
  }

  /**
   * Resolves when everything queued on this device so far, on all its streams, is done. Rejects with the error of work that failed.
   *
   * @throws {BatchNormError} `ERR_STATE` while a graph is captured on the device, `ERR_CUDA`, by rejection.
   */
  async synchronize(): Promise<void> {
    refuseCapture(this);
    await this.#native.synchronize();
  }

  /**
   * Blocks the calling thread, event loop included, until everything queued on this device so far is done.
   *
   * @throws {BatchNormError} `ERR_STATE` while a graph is captured on the device, `ERR_CUDA`.
   */
  synchronizeSync(): void {
    this.#native.synchronizeSync();
  }

  /** How much memory is in use, in bytes. */
  memory(): MemoryUse {
    const { live, peak, reserved, limit } = this.#native.memory();
    return { live, peak, reserved, limit };
  }

  /**
   * Sets the most memory, in bytes, that this device may take from the system. Allocations beyond it throw `ERR_OUT_OF_MEMORY`.
   *
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` unless `bytes` is a non-negative integer.
   */
  setMemoryLimit(bytes: number): void {
    this.#native.setMemoryLimit(checkInteger(bytes, 'bytes', 0));
  }

  /** Gives memory that is kept for reuse back to the system. Waits for queued work first, blocking the calling thread. */
  emptyCache(): void {
    this.#native.emptyCache();
  }

  /** The device by name. */
  toString(): string {
    return `Device ${this.name}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return `${this.toString()} (${this.description})`;
  }
}

/** The device that an argument is or names; 'auto' where it was left out. */
export function checkDevice(value: unknown, name: string): Device {
  if (isDevice(value)) return value;
  const deviceName = value === undefined ? 'auto' : value;
  return devices.get(deviceName) ?? openDevice(deviceName, name);
}

/** The native queue for work on `device`, given the caller's `stream` option. */
export function streamOf(device: Device, stream: unknown): NativeStream {
  return checkStream(stream, device, captureOf(device)?.stream ?? defaultStream(device));
}

function openDevice(deviceName: unknown, name: string): Device {
  const device = deviceName === 'auto' ? openBest() : openNamed(resolveName(deviceName, name));
  devices.set(deviceName, device);
  return device;
}

function openBest(): Device {
  const gpu = addon().deviceNames().includes('cuda:0') ? openIfItWorks('cuda:0') : undefined;
  return gpu ?? openNamed('cpu');
}

function openNamed(fullName: string): Device {
  const device = devices.get(fullName) ?? makeDevice(addon().device(fullName));
  devices.set(fullName, device);
  return device;
}

/** Undefined for a device that is there and does not work: taken by another process, say. */
function openIfItWorks(fullName: string): Device | undefined {
  try {
    return openNamed(fullName);
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'ERR_DEVICE_UNAVAILABLE') return undefined;
    throw error;
  }
}

function resolveName(deviceName: unknown, name: string): string {
  if (deviceName === 'cuda') return 'cuda:0';
  if (deviceName === 'cpu' || (typeof deviceName === 'string' && /^cuda:(0|[1-9]\d{0,3})$/.test(deviceName))) return deviceName;
  throw expected(`a Device, 'auto', 'cpu', 'cuda' or 'cuda:<number>'`, name, deviceName);
}
