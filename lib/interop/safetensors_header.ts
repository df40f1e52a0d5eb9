/**
 * The header of a safetensors file: JSON that gives each tensor's dtype, shape and place in the data behind it
 * (https://github.com/huggingface/safetensors). A file is not to be trusted: everything it claims is checked here.
 */

import { BatchNormError, expected, show } from '../errors';
import { checkShape, sizeOf } from '../shape';
import { quoted } from '../validate';
import { findKeyProblem } from './json_keys';

/** Element types by the names of the format. */
export type SafetensorsDType =
  | 'F64'
  | 'I64'
  | 'U64'
  | 'C64'
  | 'F32'
  | 'I32'
  | 'U32'
  | 'F16'
  | 'BF16'
  | 'I16'
  | 'U16'
  | 'I8'
  | 'U8'
  | 'BOOL'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'F8_E8M0';

/** Bytes of an element, and the arrays that hold its elements: 16-bit floats as bits, complex numbers as pairs. */
export const STORED = {
  F64: { size: 8, ArrayType: Float64Array },
  I64: { size: 8, ArrayType: BigInt64Array },
  U64: { size: 8, ArrayType: BigUint64Array },
  C64: { size: 8, ArrayType: Float32Array },
  F32: { size: 4, ArrayType: Float32Array },
  I32: { size: 4, ArrayType: Int32Array },
  U32: { size: 4, ArrayType: Uint32Array },
  F16: { size: 2, ArrayType: Uint16Array },
  BF16: { size: 2, ArrayType: Uint16Array },
  I16: { size: 2, ArrayType: Int16Array },
  U16: { size: 2, ArrayType: Uint16Array },
  I8: { size: 1, ArrayType: Int8Array },
  U8: { size: 1, ArrayType: Uint8Array },
  BOOL: { size: 1, ArrayType: Uint8Array },
  F8_E4M3: { size: 1, ArrayType: Uint8Array },
  F8_E5M2: { size: 1, ArrayType: Uint8Array },
  F8_E8M0: { size: 1, ArrayType: Uint8Array },
} as const satisfies Record<SafetensorsDType, unknown>;

/** What a file says of a tensor. */
export interface SafetensorsInfo {
  /** Element type. */
  readonly dtype: SafetensorsDType;
  /** Sizes of the dimensions, row-major; `[]` for a single value. */
  readonly shape: readonly number[];
  /** Size of the elements in bytes. */
  readonly byteLength: number;
}

/** A tensor's place in the data. */
export interface Slot extends SafetensorsInfo {
  readonly begin: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the data. */
  readonly slots: ReadonlyMap<string, Slot>;
}

/** Of the format. */
export const LONGEST_HEADER = 100_000_000;
const METADATA = '__metadata__';
const DEEPEST = 3; // the header, an entry, its lists

export function checkStoredDType(value: unknown, name: string): SafetensorsDType {
  if (typeof value === 'string' && Object.hasOwn(STORED, value)) return value as SafetensorsDType;
  throw expected(`one of ${quoted(Object.keys(STORED))}`, name, value, 'ERR_DTYPE');
}

/** The size in bytes of such a tensor. @throws {BatchNormError} `ERR_SHAPE` where no number tells it. */
export function byteLengthOf(dtype: SafetensorsDType, shape: readonly number[]): number {
  return sizeOf(shape, STORED[dtype].size) * STORED[dtype].size;
}

export function checkName(name: string): void {
  if (name !== METADATA && name !== '__proto__') return;
  throw new BatchNormError(
    'ERR_INVALID_ARGUMENT',
    `Expected names of tensors but received '${name}', which the format reserves or none may have`,
  );
}

export function malformed(file: string, why: string): BatchNormError {
  return new BatchNormError('ERR_INVALID_ARGUMENT', `Expected a sound safetensors file but received ${file}: ${why}`);
}

/** Reads a header, and checks it against the number of bytes that follow it. */
export function parseHeader(bytes: Uint8Array, dataLength: number, file: string): Header {
  const slots: [string, Slot][] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(parseObject(bytes, file))) {
    if (name === METADATA) {
      metadata = checkMetadata(value, `${METADATA} of ${file}`);
    } else {
      checkName(name);
      slots.push([name, parseSlot(value, `${show(name)} of ${file}`)]);
    }
  }
  slots.sort(([, a], [, b]) => a.begin - b.begin || a.byteLength - b.byteLength);
  checkPlaces(slots, dataLength, file);
  return { metadata, slots: new Map(slots) };
}

function parseObject(bytes: Uint8Array, file: string): object {
  let problem: string | undefined;
  let content: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    problem = findKeyProblem(text, DEEPEST);
    content = problem === undefined ? JSON.parse(text) : undefined;
  } catch {
    problem = 'it is no JSON';
  }
  if (problem !== undefined) throw malformed(file, `its header is unusable, for ${problem}`);
  if (isObject(content)) return content;
  throw malformed(file, `its header should be an object and is ${show(content)}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function checkMetadata(value: unknown, name: string): Record<string, string> {
  if (!isObject(value)) throw expected('an object of strings', name, value);
  for (const [key, text] of Object.entries(value)) {
    if (key === '__proto__' || typeof text !== 'string') throw expected('a string', `${show(key)} in ${name}`, text);
  }
  return { ...(value as Record<string, string>) };
}

function parseSlot(value: unknown, name: string): Slot {
  if (!isObject(value)) throw expected('an object { dtype, shape, data_offsets }', name, value);
  const dtype = checkStoredDType(value.dtype, `the dtype of ${name}`);
  const shape = checkShape(value.shape, `the shape of ${name}`);
  const [begin, end] = checkOffsets(value.data_offsets, `the data_offsets of ${name}`);
  const byteLength = byteLengthOf(dtype, shape);
  if (end - begin === byteLength) return { dtype, shape, byteLength, begin };
  throw expected(
    `${byteLength} bytes, as ${dtype} [${show(shape).slice(1, -1).trim()}] has,`,
    `the data_offsets of ${name}`,
    [begin, end],
    'ERR_SHAPE',
  );
}

function checkOffsets(value: unknown, name: string): [begin: number, end: number] {
  if (Array.isArray(value) && value.length === 2) {
    const [begin, end] = value as [unknown, unknown];
    if (isOffset(begin) && isOffset(end) && begin <= end) return [begin, end];
  }
  throw expected('two offsets, of the first byte and behind the last,', name, value);
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The tensors must lie one behind the other and fill the data: what overlaps or is in none could be meant to deceive. */
function checkPlaces(slots: readonly [string, Slot][], dataLength: number, file: string): void {
  let end = 0;
  for (const [, { begin, byteLength }] of slots) {
    if (begin < end) throw malformed(file, `tensors overlap at byte ${begin} of the data`);
    if (begin > end) throw malformed(file, `bytes ${end} to ${begin - 1} of the data belong to no tensor`);
    end = begin + byteLength;
  }
  if (end > dataLength) throw malformed(file, `its tensors take ${end} bytes, and ${dataLength} are there: it is cut`);
  if (end < dataLength) throw malformed(file, `its tensors take ${end} bytes, and ${dataLength} are there`);
}

/** The first bytes of a file with these tensors in this order: the header's length and the header, so long that data begins at a multiple of 8. */
export function encodeHeader(
  tensors: Iterable<readonly [string, SafetensorsInfo]>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [[METADATA, metadata]] : [];
  let begin = 0;
  for (const [name, { dtype, shape, byteLength }] of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [begin, begin + byteLength] }]);
    begin += byteLength;
  }
  const header = Object.fromEntries(entries);
  const names = Object.keys(header);
  if (names.length < entries.length) throw expected('each name once', 'tensors', names); // the bytes of the other would belong to none
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(json.length / 8) * 8;
  if (length > LONGEST_HEADER) throw expected(`names and metadata of at most ${LONGEST_HEADER} bytes`, 'tensors', length);
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}
