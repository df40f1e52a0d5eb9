/** The elements of ONNX tensors of one dimension, in and out. */

import { create } from '@bufbuild/protobuf';
import { allocateHost, bytesPerElement, type DType, type HostValues, hostMemory, type ParameterDType } from '../../dtype';
import { checkRange } from '../float_values';
import { type HalfDType, halfBits, halfValues } from '../half';
import { readExternal } from './external';
import { refused } from './refused';
import { DATA_TYPE, EXTERNAL, type TensorProto, TensorSchema } from './schema';

const DTYPE_NAMES = new Map(Object.entries(DATA_TYPE).map(([name, number]) => [number as number, name as DType]));

/** The element type of a parameter. */
export function dtypeOf({ dataType }: TensorProto, name: string): DType {
  const dtype = DTYPE_NAMES.get(dataType);
  if (dtype !== undefined) return dtype;
  throw refused('float32, float64, float16 or bfloat16', name, `ONNX's data type ${dataType}`, 'ERR_DTYPE');
}

/** The length of a parameter as its only dimension says it; how many elements there are is not looked at. */
export function lengthOf({ dims }: TensorProto, name: string): number {
  const [length] = dims;
  if (dims.length === 1 && length! >= 1n && length! <= BigInt(Number.MAX_SAFE_INTEGER) / 8n) return Number(length);
  throw refused('one dimension, of at least 1', name, `shape [${dims.slice(0, 8).join(', ')}]`, 'ERR_SHAPE');
}

/** A copy of the elements; no memory is taken before it is known that they are there. @param folder - the model's, where it is known. */
export async function readValues(
  tensor: TensorProto,
  target: ParameterDType,
  folder: string | undefined,
  name: string,
): Promise<HostValues> {
  const dtype = dtypeOf(tensor, name);
  const length = lengthOf(tensor, name);
  const elements = await elementsOf(tensor, dtype, length, folder, name);
  const values = hostMemory(length, target);
  values.set(elements);
  return values;
}

async function elementsOf(
  tensor: TensorProto,
  dtype: DType,
  length: number,
  folder: string | undefined,
  name: string,
): Promise<ArrayLike<number>> {
  const byteLength = length * bytesPerElement(dtype);
  if (tensor.dataLocation === EXTERNAL) return decode(await readExternal(tensor, byteLength, folder, name), dtype);
  if (tensor.rawData.length > 0) {
    if (tensor.rawData.length === byteLength) return decode(tensor.rawData, dtype);
    throw refused(`${byteLength} bytes of data`, name, `${tensor.rawData.length}`, 'ERR_SHAPE');
  }
  const elements = dtype === 'float32' ? tensor.floatData : dtype === 'float64' ? tensor.doubleData : tensor.int32Data;
  if (elements.length !== length) throw refused(`${length} elements`, name, `${elements.length}`, 'ERR_SHAPE');
  return isHalf(dtype) ? halfValues(Uint16Array.from(elements), dtype) : elements;
}

const isHalf = (dtype: DType): dtype is HalfDType => dtype === 'float16' || dtype === 'bfloat16';

/** How raw data hold the elements: little-endian, as this machine does; half types as bits. */
const ARRAYS = { float32: Float32Array, float64: Float64Array, float16: Uint16Array, bfloat16: Uint16Array } as const;

function decode(bytes: Uint8Array, dtype: DType): ArrayLike<number> {
  const copy = allocateHost(Uint8Array, bytes.length); // they lie at any address
  copy.set(bytes);
  const elements = new ARRAYS[dtype](copy.buffer);
  return isHalf(dtype) ? halfValues(elements as Uint16Array, dtype) : elements;
}

/** A tensor of shape `dims`, one dimension when left out. @throws {BatchNormError} as {@link encodeChecked}. */
export function tensorOf(name: string, values: HostValues, dtype: ParameterDType, dims: readonly number[] = [values.length]): TensorProto {
  const rawData = encodeChecked(values, dtype, name);
  return create(TensorSchema, { name, dims: dims.map(BigInt), dataType: DATA_TYPE[dtype], rawData });
}

/** The elements as raw data, rounded to the type. @throws {BatchNormError} `ERR_DTYPE` where one would become infinite. */
export function encodeChecked(values: HostValues, dtype: DType, name: string): Uint8Array {
  checkRange(values, dtype, name);
  const elements = isHalf(dtype) ? halfBits(values, dtype) : new ARRAYS[dtype](values);
  return new Uint8Array(elements.buffer);
}
