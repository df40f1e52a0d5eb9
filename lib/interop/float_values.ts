/** Between the float types of files and arrays of numbers. */

import type { DType, HostValues } from '../dtype';
import { BatchNormError } from '../errors';
import { largest, round } from '../validation/number_format';
import { halfBits, halfValues } from './half';
import type { SafetensorsTensor } from './safetensors_file';
import type { SafetensorsDType } from './safetensors_header';

export type FloatDType = 'F64' | 'F32' | 'F16' | 'BF16';

export function isFloat(dtype: SafetensorsDType): dtype is FloatDType {
  return dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';
}

/** The elements as numbers, exactly: a Float64Array for F64, else a Float32Array. @throws {BatchNormError} `ERR_DTYPE` for other types. */
export function floatValues({ dtype, data }: SafetensorsTensor, name: string): Float32Array | Float64Array {
  if (dtype === 'F16') return halfValues(data as Uint16Array, 'float16');
  if (dtype === 'BF16') return halfValues(data as Uint16Array, 'bfloat16');
  if (isFloat(dtype)) return data as Float32Array | Float64Array;
  throw new BatchNormError('ERR_DTYPE', `Expected F64, F32, F16 or BF16 for ${name} but received ${dtype}`);
}

/** What {@link Tensor} calls these types. */
const DTYPES = { F64: 'float64', F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Numbers as such a file has them; one rounding. @throws {BatchNormError} `ERR_DTYPE` where one would become infinite. */
export function storedFloats(values: Float64Array, dtype: FloatDType, name: string): Float64Array | Float32Array | Uint16Array {
  checkRange(values, DTYPES[dtype], name);
  if (dtype === 'F16') return halfBits(values, 'float16');
  if (dtype === 'BF16') return halfBits(values, 'bfloat16');
  return dtype === 'F64' ? values : Float32Array.from(values);
}

/** Passes values on, unless one of them would become infinite in its type. */
export function checkRange<Values extends HostValues>(values: Values, dtype: DType, name: string): Values {
  const most = largest(dtype); // what is beyond may still be rounded to it
  const beyond = values.find((value) => Math.abs(value) > most && Number.isFinite(value) && !Number.isFinite(round(value, dtype)));
  if (beyond === undefined) return values;
  throw new BatchNormError('ERR_DTYPE', `Expected values within the range of ${dtype} for ${name} but received ${beyond}`);
}
