/** What DLPack, the interface by which array libraries pass tensors on, says of a tensor, and what this package makes of it. */

import { addon } from './addon';
import type { Device } from './device';
import type { DType } from './dtype';
import { BatchNormError, expected, show } from './errors';
import { checkShape } from './shape';

const CPU = 1;
const CUDA = 2;

/** Code and bits of DLPack's DLDataType. */
const TYPES: Readonly<Record<DType, readonly [code: number, bits: number]>> = {
  float32: [2, 32],
  float64: [2, 64],
  float16: [2, 16],
  bfloat16: [4, 16],
};

/** A device by DLPack's type and number. */
export function dlpackDevice({ type, name }: Device): [type: number, id: number] {
  return type === 'cpu' ? [CPU, 0] : [CUDA, Number(name.slice('cuda:'.length))];
}

/** A dtype by DLPack's code and number of bits. */
export function dlpackType(dtype: DType): readonly [code: number, bits: number] {
  return TYPES[dtype];
}

/** A tensor that is offered by another library, as far as its description goes. */
export interface Offer {
  readonly deviceName: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Address of the first element. */
  readonly address: bigint;
}

/** Reads the DLManagedTensor at `pointer`; throws where this package has no such tensors. */
export function readOffer(pointer: unknown): Offer {
  if (typeof pointer !== 'bigint' || pointer <= 0n || pointer >= 1n << 64n || pointer % 8n !== 0n) {
    throw expected('the address of a DLManagedTensor as a BigInt: not 0 and a multiple of 8', 'pointer', pointer);
  }
  const told = addon().inspectDLPack(pointer);
  if (told.deviceType !== CPU && told.deviceType !== CUDA) {
    throw refusal('ERR_INVALID_ARGUMENT', `of device type ${CPU} (CPU) or ${CUDA} (CUDA)`, told.deviceType);
  }
  const dtype = (Object.keys(TYPES) as DType[]).find((name) => TYPES[name][0] === told.typeCode && TYPES[name][1] === told.typeBits);
  if (dtype === undefined || told.typeLanes !== 1) {
    const type = `code ${told.typeCode}, ${told.typeBits} bits, ${told.typeLanes} lanes`;
    throw refusal('ERR_DTYPE', `of type ${Object.keys(TYPES).join(', ')}`, type);
  }
  const shape = checkShape(told.shape, 'the shape of pointer');
  if (!isRowMajor(shape, told.strides)) throw refusal('ERR_SHAPE', `with the row-major strides of shape ${show(shape)}`, told.strides);
  return { deviceName: told.deviceType === CPU ? 'cpu' : `cuda:${told.deviceId}`, dtype, shape, address: told.pointer };
}

// The stride of a dimension of size 1 is never used, and none is in an empty tensor.
function isRowMajor(shape: readonly number[], strides: readonly number[] | null): boolean {
  if (strides === null || shape.includes(0)) return true;
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; --i) {
    if (shape[i] !== 1 && strides[i] !== stride) return false;
    stride *= shape[i]!;
  }
  return true;
}

function refusal(code: 'ERR_INVALID_ARGUMENT' | 'ERR_DTYPE' | 'ERR_SHAPE', what: string, received: unknown): BatchNormError {
  return new BatchNormError(code, `Expected a tensor ${what} for pointer but received ${show(received)}`);
}
