/** An open safetensors file, whose tensors are read one by one. */

import { BatchNormError, expected } from '../errors';
import { checkInternal, INTERNAL } from '../validate';
import { type ByteSource, openSource } from './byte_source';
import { recognize } from './foreign_format';
import {
  type Header,
  LONGEST_HEADER,
  malformed,
  parseHeader,
  type SafetensorsDType,
  type SafetensorsInfo,
  STORED,
} from './safetensors_header';

/** Elements as they are stored: F16 and BF16 as 16-bit patterns, BOOL and 8-bit floats as bytes, C64 as pairs of real and imaginary part. */
export type SafetensorsData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor of a file. */
export interface SafetensorsTensor {
  /** Element type. */
  readonly dtype: SafetensorsDType;
  /** Sizes of the dimensions, row-major; `[]` for a single value. */
  readonly shape: readonly number[];
  /** The elements. For writing also a Uint8Array with their bytes, little-endian. */
  readonly data: SafetensorsData;
}

/** A file by path or `file:` URL, or the content of one. */
export type SafetensorsSource = string | URL | Uint8Array;

/** An open file whose header is read and checked; its tensors are read when asked for. Close it in the end. */
export class SafetensorsFile {
  /** What is in the file, by name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, SafetensorsInfo>;
  /** Texts by name; empty where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The path, or `'bytes'`, as messages have it. */
  readonly name: string;
  readonly #source: ByteSource;
  readonly #header: Header;
  readonly #dataBegin: number;
  #closed = false;

  /** @internal */
  constructor(key: unknown, source: ByteSource, header: Header, dataBegin: number) {
    checkInternal(key, 'SafetensorsFile', 'openSafetensors(source)');
    this.tensors = header.slots;
    this.metadata = header.metadata;
    this.name = source.name;
    this.#source = source;
    this.#header = header;
    this.#dataBegin = dataBegin;
  }

  /**
   * Resolves to one tensor, a copy.
   *
   * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT` where there is none of this name, `ERR_STATE` where the file was cut
   * since it was opened, `ERR_DISPOSED` where it is closed, `ERR_OUT_OF_MEMORY`; and Node.js's own errors.
   */
  async read(name: string): Promise<SafetensorsTensor> {
    if (this.#closed) throw new BatchNormError('ERR_DISPOSED', `Expected an open file but ${this.name} is closed`);
    const slot = this.#header.slots.get(name);
    if (slot === undefined) throw expected(`a tensor of ${this.name}`, 'name', name);
    const { dtype, shape, begin, byteLength } = slot;
    const bytes = await this.#source.read(this.#dataBegin + begin, byteLength);
    const { ArrayType } = STORED[dtype];
    return { dtype, shape, data: new ArrayType(bytes.buffer as ArrayBuffer, 0, byteLength / ArrayType.BYTES_PER_ELEMENT) };
  }

  /** Gives the file back. A second call does nothing. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#source.close();
  }
}

/**
 * Opens a file and reads its header alone, however large the file is.
 *
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT` for what is no sound file of this format, in words, `ERR_DTYPE` for an element
 * type that is not known, `ERR_SHAPE` for a shape that does not fit; and Node.js's own errors, such as `ENOENT`.
 */
export async function openSafetensors(source: SafetensorsSource): Promise<SafetensorsFile> {
  const bytes = await openSource(source);
  try {
    const length = await checkBeginning(bytes);
    const header = parseHeader(await bytes.read(8, length), bytes.byteLength - 8 - length, bytes.name);
    return new SafetensorsFile(INTERNAL, bytes, header, 8 + length);
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** The header's length. */
async function checkBeginning(source: ByteSource): Promise<number> {
  const bytes = await source.read(0, Math.min(source.byteLength, 16));
  const refuse = (why: string) => malformed(source.name, recognize(bytes) ?? why);
  if (source.byteLength < 8) throw refuse(`it has ${source.byteLength} bytes, and the length of the header alone takes 8`);
  const claimed = new DataView(bytes.buffer, 0, 8).getBigUint64(0, true);
  if (claimed > BigInt(LONGEST_HEADER))
    throw refuse(`it claims a header of ${claimed} bytes, and ${LONGEST_HEADER} is the most the format allows`);
  const length = Number(claimed);
  if (length > source.byteLength - 8) throw refuse(`it claims a header of ${length} bytes, and has ${source.byteLength} in all`);
  if (bytes[8] !== 0x7b) throw refuse("its header does not begin with '{'");
  return length;
}

/** Opens a file for as long as `use` takes. */
export async function withSafetensors<T>(source: SafetensorsSource, use: (file: SafetensorsFile) => Promise<T>): Promise<T> {
  const file = await openSafetensors(source);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
