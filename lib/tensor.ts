import { inspect } from 'node:util';
import { addon, DTYPE_CODES, type NativeBuffer, type NativeStream } from './addon';
import { checkDevice, type Device, nativeDevice, streamOf } from './device';
import { dlpackDevice, dlpackType, readOffer } from './dlpack';
import {
  allocateHost,
  bytesPerElement,
  checkDType,
  type DType,
  hostDType,
  hostMemory,
  hostValues,
  type NumericArray,
  nameOfTypedArray,
} from './dtype';
import { type BatchNormError, expected, wrongLength } from './errors';
import { checkShape, sizeOf } from './shape';
import { type IdleBuffers, Storage } from './storage';
import type { Stream } from './stream';
import { checkInternal, checkOptions, INTERNAL } from './validate';

/** Where a new tensor lives and what it holds. */
export interface TensorOptions {
  /** Element type. Left out: float64 for values given as a Float64Array, else float32. */
  dtype?: DType | undefined;
  /** A device or the name of one; `'auto'` when left out. */
  device?: Device | string | undefined;
  /** The queue that fills the tensor; the device's own when left out. */
  stream?: Stream | undefined;
}

/** What {@link Tensor.fromPointer} must know of memory it did not make. */
export interface PointerOptions {
  /** Element type; float32 when left out. */
  dtype?: DType | undefined;
  /** The device whose memory it is. */
  device: Device | string;
}

const TENSOR_OPTIONS = ['dtype', 'device', 'stream'];
const POINTER_OPTIONS = ['dtype', 'device'];
const ADDRESS_SPACE = 1n << 64n;

// Set by the class, which keeps what it holds private.
/** A tensor that becomes an owner of `storage` in place of the caller. */
export let makeTensor: (storage: Storage, shape: readonly number[], dtype: DType, device: Device) => Tensor;
export let isTensor: (value: unknown) => value is Tensor;
/** Undefined once the tensor is disposed. */
let storageOf: (tensor: Tensor) => Storage | undefined;

/**
 * A dense, row-major array on a device. Shape, dtype and device never change; the elements change by {@link Tensor.write} and where an
 * operation is told to write into the tensor.
 *
 * Memory is freed by {@link Tensor.dispose}, which is safe while work that uses the tensor is still queued. Garbage collection is the
 * backstop, not the plan: it knows little of how scarce device memory is.
 */
export class Tensor implements Disposable {
  /** Sizes of the dimensions, the last one contiguous. Frozen; `[]` for a single value. */
  readonly shape: readonly number[];
  /** Element type. */
  readonly dtype: DType;
  /** Where the elements are. */
  readonly device: Device;
  /** Number of elements. */
  readonly size: number;
  /** Size of the elements in bytes. */
  readonly byteLength: number;
  #storage: Storage | undefined;

  static {
    makeTensor = (storage, shape, dtype, device) => new Tensor(INTERNAL, storage, shape, dtype, device);
    isTensor = (value): value is Tensor => typeof value === 'object' && value !== null && #storage in value;
    storageOf = (tensor) => tensor.#storage;
  }

  private constructor(key: unknown, storage: Storage, shape: readonly number[], dtype: DType, device: Device) {
    checkInternal(key, 'Tensor', 'Tensor.from(data, shape)');
    this.shape = shape;
    this.dtype = dtype;
    this.device = device;
    this.size = sizeOf(shape, bytesPerElement(dtype));
    this.byteLength = this.size * bytesPerElement(dtype);
    this.#storage = storage;
  }

  /**
   * A tensor holding a copy of `data`, which may change as soon as the call returns.
   *
   * @param data - the elements in row-major order, as many as `shape` has; rounded once to the dtype.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_SHAPE` where length and shape differ, `ERR_DEVICE_UNAVAILABLE`,
   * `ERR_DEVICE_MISMATCH`, `ERR_OUT_OF_MEMORY`.
   */
  static from(data: NumericArray, shape: readonly number[], options?: TensorOptions): Tensor {
    checkOptions(options, TENSOR_OPTIONS);
    const draft = checkDraft(shape, options, nameOfTypedArray(data) === 'Float64Array' ? 'float64' : 'float32');
    const values = hostValues(data, draft.size, draft.dtype, 'data');
    return filledTensor(draft, (memory) => {
      draft.stream.upload(memory, DTYPE_CODES[draft.dtype], values, DTYPE_CODES[hostDType(values)]);
    });
  }

  /**
   * The inverse of {@link Tensor.readBytes}: a tensor holding a copy of bytes that already are elements of the dtype, in the
   * machine's byte order.
   *
   * @throws {BatchNormError} as {@link Tensor.from}.
   */
  static fromBytes(bytes: Uint8Array, shape: readonly number[], options?: TensorOptions): Tensor {
    checkOptions(options, TENSOR_OPTIONS);
    const draft = checkDraft(shape, options, 'float32');
    if (nameOfTypedArray(bytes) !== 'Uint8Array') throw expected('a Uint8Array', 'bytes', bytes);
    const copy = new Uint8Array(bytes); // aligned, and out of reach of whoever shares the memory
    if (copy.length !== draft.byteLength) throw wrongLength('bytes', draft.byteLength, copy.length);
    return filledTensor(draft, (memory) => {
      draft.stream.upload(memory, DTYPE_CODES[draft.dtype], copy, DTYPE_CODES[draft.dtype]);
    });
  }

  /** A tensor whose elements are whatever its memory held before. @throws {BatchNormError} as {@link Tensor.from}. */
  static empty(shape: readonly number[], options?: TensorOptions): Tensor {
    checkOptions(options, TENSOR_OPTIONS);
    const draft = checkDraft(shape, options, 'float32');
    return filledTensor(draft, () => {});
  }

  /** A tensor of zeros. @throws {BatchNormError} as {@link Tensor.from}. */
  static zeros(shape: readonly number[], options?: TensorOptions): Tensor {
    return Tensor.full(shape, 0, options);
  }

  /**
   * A tensor whose elements all are `value`, rounded to the dtype. NaN and infinities are values.
   *
   * @throws {BatchNormError} as {@link Tensor.from}.
   */
  static full(shape: readonly number[], value: number, options?: TensorOptions): Tensor {
    checkOptions(options, TENSOR_OPTIONS);
    const draft = checkDraft(shape, options, 'float32');
    if (typeof value !== 'number') throw expected('a number', 'value', value);
    return filledTensor(draft, (memory) => draft.stream.fill(memory, DTYPE_CODES[draft.dtype], draft.size, value));
  }

  /**
   * A tensor over memory of `options.device` that is owned elsewhere and must stay valid while the tensor and work queued on it use it.
   * Disposing the tensor forgets the memory without freeing it.
   *
   * @param pointer - address of the first element; not zero, and a multiple of the element size.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_SHAPE`, `ERR_DEVICE_UNAVAILABLE`.
   */
  static fromPointer(pointer: bigint, shape: readonly number[], options: PointerOptions): Tensor {
    checkOptions(options, POINTER_OPTIONS);
    if (options?.device === undefined) throw expected('the device that the pointer belongs to', 'options.device', undefined);
    const draft = checkDraft(shape, options, 'float32');
    checkPointer(pointer, draft);
    const storage = new Storage(nativeDevice(draft.device).wrap(pointer, draft.byteLength));
    return makeTensor(storage, draft.shape, draft.dtype, draft.device);
  }

  /**
   * A tensor over memory of another library, given by DLPack. The other library's work on it must be done, or ordered before this device's.
   *
   * On success the tensor owns the structure: its deleter is called on this thread after {@link Tensor.dispose}, when the work queued by then
   * is done. When this throws, the caller still owns it.
   *
   * @param pointer - address of a DLManagedTensor (DLPack's interface of version 0, without a version field): on a CPU or CUDA device, of
   * dtype float32, float64, float16 or bfloat16, row-major, its first element at a multiple of the element size.
   * @throws {BatchNormError} `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_SHAPE`, `ERR_DEVICE_UNAVAILABLE`.
   */
  static fromDLPack(pointer: bigint): Tensor {
    const { deviceName, dtype, shape, address } = readOffer(pointer);
    const draft = checkDraft(shape, { dtype, device: deviceName }, dtype);
    if (draft.size > 0) checkPointer(address, draft);
    const adopt = () => nativeDevice(draft.device).adoptDLPack(pointer, draft.byteLength);
    if (draft.size > 0) return makeTensor(new Storage(adopt()), shape, dtype, draft.device);
    const empty = filledTensor(draft, () => {}); // first, because it may fail
    adopt().release(); // it has no memory to hold
    return empty;
  }

  /** Whether {@link Tensor.dispose} was called. */
  get disposed(): boolean {
    return this.#storage === undefined;
  }

  /** Address of the first element in the device's memory. @throws {BatchNormError} `ERR_DISPOSED`. */
  get pointer(): bigint {
    return this.#live().native.pointer;
  }

  /**
   * Resolves to a copy of the elements, in row-major order, as they are when the work queued so far is done: a Float64Array for
   * dtype float64, else a Float32Array, which holds float16 and bfloat16 exactly.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_OUT_OF_MEMORY`, by rejection.
   */
  async read(): Promise<Float32Array | Float64Array> {
    const { native } = this.#live();
    const values = hostMemory(this.size, this.dtype);
    await streamOf(this.device, undefined).download(values, DTYPE_CODES[hostDType(values)], native, DTYPE_CODES[this.dtype]);
    return values;
  }

  /**
   * As {@link Tensor.read}, but blocks the calling thread, event loop included. For libraries whose operators are synchronous.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_OUT_OF_MEMORY`.
   */
  readSync(): Float32Array | Float64Array {
    const { native } = this.#live();
    const values = hostMemory(this.size, this.dtype);
    streamOf(this.device, undefined).downloadSync(values, DTYPE_CODES[hostDType(values)], native, DTYPE_CODES[this.dtype]);
    return values;
  }

  /**
   * Resolves to a copy of the storage as it is, in the machine's byte order.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_OUT_OF_MEMORY`, by rejection.
   */
  async readBytes(): Promise<Uint8Array> {
    const { native } = this.#live();
    const bytes = allocateHost(Uint8Array, this.byteLength);
    const dtype = DTYPE_CODES[this.dtype];
    await streamOf(this.device, undefined).download(bytes, dtype, native, dtype);
    return bytes;
  }

  /**
   * Replaces all elements, after the work queued so far and before any queued later. `data` is copied and may change as soon as the
   * call returns.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_INVALID_ARGUMENT`, `ERR_SHAPE` where `data` has not {@link Tensor.size} elements.
   */
  write(data: NumericArray): void {
    const storage = this.#live();
    const values = hostValues(data, this.size, this.dtype, 'data');
    streamOf(this.device, undefined).upload(storage.native, DTYPE_CODES[this.dtype], values, DTYPE_CODES[hostDType(values)]);
    storage.version += 1;
  }

  /**
   * A copy on `device`, the caller's own even where the tensor is there already. A copy to another device goes by way of host memory, and
   * blocks the calling thread until the work queued so far on both devices is done.
   *
   * @throws {BatchNormError} `ERR_DISPOSED`, `ERR_INVALID_ARGUMENT`, `ERR_DEVICE_UNAVAILABLE`, `ERR_OUT_OF_MEMORY`.
   */
  to(device: Device | string): Tensor {
    if (device === undefined) throw expected('a Device or the name of one', 'device', device);
    const target = checkDevice(device, 'device');
    const source = this.#live();
    const { shape, dtype, size, byteLength } = this;
    const stream = streamOf(target, undefined);
    return filledTensor({ shape, dtype, device: target, stream, size, byteLength }, (memory) => {
      stream.copy(memory, source.native, byteLength);
    });
  }

  /**
   * The tensor for another library, by DLPack: the address of a new DLManagedTensor (DLPack's interface of version 0), which the other
   * library must free by calling its deleter, on any thread, when its own work on the memory is done or ordered before this device's. It shares the memory, and keeps it until then, though this tensor be
   * disposed; memory from {@link Tensor.fromPointer} must be kept by its owner.
   *
   * The other library knows nothing of queued work: wait for it first (`await device.synchronize()`).
   *
   * @throws {BatchNormError} `ERR_DISPOSED`.
   */
  toDLPack(): bigint {
    const { native } = this.#live();
    return addon().exportDLPack(native, ...dlpackDevice(this.device), ...dlpackType(this.dtype), this.shape);
  }

  /** Gives the memory back; safe while work that uses it is queued. A second call does nothing. */
  dispose(): void {
    this.#storage?.release();
    this.#storage = undefined;
  }

  /** As {@link Tensor.dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Dtype, shape and device; not the elements. */
  toString(): string {
    return `Tensor ${this.dtype} [${this.shape.join(', ')}] on ${this.device.name}${this.disposed ? ', disposed' : ''}`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  #live(): Storage {
    if (this.#storage === undefined) throw disposed(this, 'this');
    return this.#storage;
  }
}

const idleBuffers = new WeakMap<Device, IdleBuffers>();

function idleBuffersOf(device: Device): IdleBuffers {
  let idle = idleBuffers.get(device);
  if (idle === undefined) {
    idle = [];
    idleBuffers.set(device, idle);
  }
  return idle;
}

/** A new block of `device`'s memory, first used by work on `stream`, with one owner: the caller. */
export function allocate(device: Device, byteLength: number, stream: NativeStream): Storage {
  const idle = idleBuffersOf(device);
  const native = idle.pop();
  if (native === undefined) return new Storage(nativeDevice(device).allocate(byteLength, stream), idle);
  native.renew(byteLength, stream);
  return new Storage(native, idle);
}

/** A new tensor whose elements `fill` queues to be written; where that throws, nothing is left. */
function filledTensor({ shape, dtype, device, stream, byteLength }: Draft, fill: (memory: NativeBuffer) => void): Tensor {
  const storage = allocate(device, byteLength, stream);
  try {
    fill(storage.native);
  } catch (error) {
    storage.release();
    throw error;
  }
  return makeTensor(storage, shape, dtype, device);
}

/** The storage of an argument that must be a live tensor of `device`. */
export function checkTensor(value: unknown, name: string, device: Device): Storage {
  if (!isTensor(value)) throw expected('a Tensor', name, value);
  const storage = storageOf(value);
  if (storage === undefined) throw disposed(value, name);
  if (value.device !== device) throw expected(`a tensor on device ${device.name}`, name, value, 'ERR_DEVICE_MISMATCH');
  return storage;
}

function disposed(tensor: Tensor, name: string): BatchNormError {
  return expected('a tensor that is not disposed', name, tensor, 'ERR_DISPOSED');
}

/** A tensor about to be made: its checked arguments and what follows from them. */
interface Draft {
  shape: readonly number[];
  dtype: DType;
  device: Device;
  stream: NativeStream;
  size: number;
  byteLength: number;
}

function checkDraft(shape: unknown, options: TensorOptions | undefined, byDefault: DType): Draft {
  const dimensions = checkShape(shape, 'shape');
  const dtype = options?.dtype === undefined ? byDefault : checkDType(options.dtype, 'options.dtype');
  const size = sizeOf(dimensions, bytesPerElement(dtype));
  const device = checkDevice(options?.device, 'options.device');
  const stream = streamOf(device, options?.stream);
  return { shape: dimensions, dtype, device, stream, size, byteLength: size * bytesPerElement(dtype) };
}

function checkPointer(pointer: unknown, { dtype, byteLength }: Draft): void {
  const alignment = bytesPerElement(dtype);
  const valid = typeof pointer === 'bigint' && pointer > 0n && pointer % BigInt(alignment) === 0n;
  if (!valid || pointer + BigInt(byteLength) > ADDRESS_SPACE) {
    throw expected(`an address as a BigInt: not 0, a multiple of ${alignment}, and followed by ${byteLength} bytes`, 'pointer', pointer);
  }
}
