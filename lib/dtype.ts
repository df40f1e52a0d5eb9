import { DTYPE_CODES } from './addon';
import { BatchNormError, expected, wrongLength } from './errors';
import { quoted } from './validate';

/** Element types of tensors. */
export type DType = 'float32' | 'float64' | 'float16' | 'bfloat16';

/** Element types of parameters and statistics. */
export type ParameterDType = 'float32' | 'float64';

/**
 * Numbers given by the caller: a flat array or any typed array but the BigInt ones. Elements are values, never bit patterns:
 * a `Uint16Array` holds the numbers 0 … 65535, whatever the dtype of the tensor (see {@link Tensor.fromBytes} for bits).
 */
export type NumericArray = readonly number[] | (ArrayBufferView & ArrayLike<number>);

const DTYPES = Object.keys(DTYPE_CODES) as DType[];
const BYTES_PER_ELEMENT = { float32: 4, float64: 8, float16: 2, bfloat16: 2 } as const;

export function bytesPerElement(dtype: DType): number {
  return BYTES_PER_ELEMENT[dtype];
}

export function checkDType(value: unknown, name: string): DType {
  if (DTYPES.includes(value as DType)) return value as DType;
  throw expected(`one of ${quoted(DTYPES)}`, name, value, 'ERR_DTYPE');
}

export function checkParameterDType(value: unknown, name: string): ParameterDType {
  if (value === 'float32' || value === 'float64') return value;
  throw expected(`'float32' or 'float64'`, name, value, 'ERR_DTYPE');
}

// The intrinsic getters cannot be fooled by properties and prototypes that the caller has put on an array.
const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype);
const typedArrayName: (this: unknown) => string | undefined = intrinsicGetter(Symbol.toStringTag);
const typedArrayLength: (this: unknown) => number = intrinsicGetter('length');

function intrinsicGetter<T>(key: PropertyKey): (this: unknown) => T {
  return Object.getOwnPropertyDescriptor(typedArrayPrototype, key)!.get as (this: unknown) => T;
}

/** `'Float32Array'` and the like for typed arrays, undefined for anything else. */
export function nameOfTypedArray(value: unknown): string | undefined {
  return typedArrayName.call(value);
}

/** What {@link hostValues} gives: an array whose memory native code may read. */
export type HostValues = Float32Array | Float64Array;

export function hostDType(values: HostValues): 'float32' | 'float64' {
  return values instanceof Float64Array ? 'float64' : 'float32';
}

/**
 * The caller's numbers, checked, in an array that native code can read. Wider than the target where that is needed for the
 * conversion to round only once. No copy is made of a Float32Array or Float64Array in ordinary memory.
 */
export function hostValues(data: unknown, count: number, target: DType, name: string): HostValues {
  const kind = nameOfTypedArray(data);
  const length = kind === undefined ? lengthOfArray(data, name) : typedArrayLength.call(data);
  if (kind?.startsWith('Big')) throw expected('an array of numbers, not of BigInts', name, data);
  if (length !== count) throw wrongLength(name, count, length);
  if (kind === undefined) return copyOfNumbers(data as readonly unknown[], target, name);
  if (kind === 'Float32Array' || kind === 'Float64Array') return plainMemory(data as HostValues, kind);
  return target === 'float32' ? new Float32Array(data as Uint8Array) : new Float64Array(data as Uint8Array);
}

function lengthOfArray(data: unknown, name: string): number {
  if (Array.isArray(data)) return data.length;
  throw expected('an array of numbers or a typed array', name, data);
}

function copyOfNumbers(data: readonly unknown[], target: DType, name: string): HostValues {
  const values = target === 'float32' ? new Float32Array(data.length) : new Float64Array(data.length);
  for (let i = 0; i < values.length; ++i) {
    const value = data[i];
    if (typeof value !== 'number') throw notANumber(value, `${name}[${i}]`);
    values[i] = value;
  }
  return values;
}

function notANumber(value: unknown, name: string): BatchNormError {
  if (Array.isArray(value))
    return expected('a flat array: a number (call .flat() on nested arrays, and give the shape apart)', name, value);
  return expected('a number', name, value);
}

// Memory shared with other threads could change under native code's hands, and a prototype may have been swapped.
function plainMemory(data: HostValues, kind: 'Float32Array' | 'Float64Array'): HostValues {
  const ArrayType = kind === 'Float32Array' ? Float32Array : Float64Array;
  const shared = data.buffer instanceof SharedArrayBuffer;
  return shared || !(data instanceof ArrayType) ? new ArrayType(data) : data;
}

/** Memory for `count` elements on their way out of a device: float64 as it is, all else as float32. */
export function hostMemory(count: number, dtype: DType): HostValues {
  return dtype === 'float64' ? allocateHost(Float64Array, count) : allocateHost(Float32Array, count);
}

/** A new typed array; the runtime's own RangeError for what it cannot hold becomes ERR_OUT_OF_MEMORY. */
export function allocateHost<T>(ArrayType: { new (length: number): T; readonly BYTES_PER_ELEMENT: number }, count: number): T {
  try {
    return new ArrayType(count);
  } catch {
    const bytes = count * ArrayType.BYTES_PER_ELEMENT;
    throw new BatchNormError('ERR_OUT_OF_MEMORY', `Expected host memory for ${bytes} bytes but the runtime could not allocate it`);
  }
}
