/** Files in the safetensors format (https://github.com/huggingface/safetensors): models without code in them. */

import { nameOfTypedArray } from '../dtype';
import { expected, show, wrongLength } from '../errors';
import { checkShape } from '../shape';
import { checkOptions } from '../validate';
import { entriesByName } from './by_name';
import { checkPath } from './place';
import { type SafetensorsData, type SafetensorsSource, type SafetensorsTensor, withSafetensors } from './safetensors_file';
import { byteLengthOf, checkMetadata, checkName, checkStoredDType, STORED } from './safetensors_header';
import { headerOf, inOrder, type Part, writeParts } from './safetensors_parts';

export { openSafetensors, type SafetensorsData, SafetensorsFile, type SafetensorsSource, type SafetensorsTensor } from './safetensors_file';
export type { SafetensorsDType, SafetensorsInfo } from './safetensors_header';

/** What {@link readSafetensors} found. */
export interface SafetensorsContent {
  /** The tensors asked for, by name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
  /** Texts by name; empty where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Options of {@link readSafetensors}. */
export interface ReadSafetensorsOptions {
  /** What the names of the tensors begin with; all are read when left out. */
  prefix?: string | undefined;
}

/** Options of {@link writeSafetensors} and {@link encodeSafetensors}. */
export interface WriteSafetensorsOptions {
  /** Texts by name. */
  metadata?: Readonly<Record<string, string>> | undefined;
}

/**
 * Reads tensors: of a file the header and those that `prefix` chooses, and nothing else.
 *
 * @throws {BatchNormError} as {@link openSafetensors}, by rejection.
 */
export async function readSafetensors(source: SafetensorsSource, options?: ReadSafetensorsOptions): Promise<SafetensorsContent> {
  checkOptions(options, ['prefix']);
  const prefix: unknown = options?.prefix ?? '';
  if (typeof prefix !== 'string') throw expected('a string', 'options.prefix', prefix);
  return withSafetensors(source, async (file) => {
    const tensors = new Map<string, SafetensorsTensor>();
    for (const name of file.tensors.keys()) {
      if (name.startsWith(prefix)) tensors.set(name, await file.read(name));
    }
    return { tensors, metadata: file.metadata };
  });
}

/** Tensors to write, by name. */
export type SafetensorsTensors = ReadonlyMap<string, SafetensorsTensor> | Readonly<Record<string, SafetensorsTensor>>;

/**
 * Writes a file: to a temporary one beside it, which then takes its place, so that a failure touches nothing. The tensors must not change
 * until it is done. They are stored by falling element size, in the given order otherwise.
 *
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT`, `ERR_DTYPE`, `ERR_SHAPE` where data and shape differ; and Node.js's own errors.
 */
export async function writeSafetensors(
  target: string | URL,
  tensors: SafetensorsTensors,
  options?: WriteSafetensorsOptions,
): Promise<void> {
  const path = checkPath(target, 'target');
  const { parts, metadata } = checkContent(tensors, options);
  await writeParts(path, parts, metadata);
}

/** The content of the file that {@link writeSafetensors} writes. @throws {BatchNormError} as there. */
export function encodeSafetensors(tensors: SafetensorsTensors, options?: WriteSafetensorsOptions): Uint8Array {
  const { parts, metadata } = checkContent(tensors, options);
  const sorted = inOrder(parts);
  return new Uint8Array(Buffer.concat([headerOf(sorted, metadata), ...sorted.map(({ bytes }) => bytes)]));
}

type ReadyPart = Part & { bytes: Uint8Array };

function checkContent(tensors: unknown, options: unknown): { parts: ReadyPart[]; metadata: Record<string, string> } {
  checkOptions(options, ['metadata']);
  const given = (options as WriteSafetensorsOptions | undefined)?.metadata;
  const metadata = given === undefined ? {} : checkMetadata(given, 'options.metadata');
  const parts = entriesByName(tensors, 'tensors by name', 'tensors').map(([name, tensor]) => {
    checkName(name);
    return checkPart(name, tensor);
  });
  return { parts, metadata };
}

function checkPart(name: string, tensor: unknown): ReadyPart {
  const where = `tensors[${show(name)}]`;
  if (typeof tensor !== 'object' || tensor === null) throw expected('an object { dtype, shape, data }', where, tensor);
  const { dtype: dtypeGiven, shape: shapeGiven, data } = tensor as Record<keyof SafetensorsTensor, unknown>;
  const dtype = checkStoredDType(dtypeGiven, `${where}.dtype`);
  const shape = checkShape(shapeGiven, `${where}.shape`);
  const byteLength = byteLengthOf(dtype, shape);
  const wanted = STORED[dtype].ArrayType.name;
  const kind = nameOfTypedArray(data);
  if (kind !== wanted && kind !== 'Uint8Array')
    throw expected(`a ${wanted}, as ${dtype} has it, or its bytes as a Uint8Array`, `${where}.data`, data);
  const { buffer, byteOffset, byteLength: given } = data as SafetensorsData;
  if (given !== byteLength) throw wrongLength(`${where}.data in bytes`, byteLength, given);
  const bytes = new Uint8Array(buffer, byteOffset, given);
  return { name, dtype, shape, byteLength, bytes, load: () => bytes };
}
