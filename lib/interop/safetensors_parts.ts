/** Writing safetensors files of any size, one tensor after the other. */

import type { FileHandle } from 'node:fs/promises';
import { writeAtomically } from './atomic_write';
import type { SafetensorsFile, SafetensorsTensor } from './safetensors_file';
import { encodeHeader, type SafetensorsInfo, STORED } from './safetensors_header';

/** A tensor on its way into a file: its bytes are fetched when it is its turn, so that one at a time is in memory. */
export interface Part extends SafetensorsInfo {
  readonly name: string;
  load(): Promise<Uint8Array> | Uint8Array;
}

/** Called after each part with the bytes written so far, and those in all. */
export type Watch = (done: number, total: number) => void;

/** Writes a file of these parts. Nothing is touched unless all of it succeeds. */
export async function writeParts(
  path: string,
  parts: readonly Part[],
  metadata: Readonly<Record<string, string>>,
  watch?: Watch,
): Promise<void> {
  const sorted = inOrder(parts);
  const header = headerOf(sorted, metadata);
  const total = sorted.reduce((sum, { byteLength }) => sum + byteLength, header.length);
  await writeAtomically(path, async (file) => {
    await writeAll(file, header);
    let done = header.length;
    for (const part of sorted) {
      await writeAll(file, await part.load());
      done += part.byteLength;
      watch?.(done, total);
    }
  });
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done, Math.min(bytes.length - done, 2 ** 30))).bytesWritten;
}

// Wide elements first, so that each tensor begins at a multiple of its element's size.
export function inOrder<P extends Part>(parts: readonly P[]): P[] {
  return [...parts].sort((a, b) => STORED[b.dtype].size - STORED[a.dtype].size);
}

export function headerOf(parts: readonly Part[], metadata: Readonly<Record<string, string>>): Uint8Array {
  return encodeHeader(
    parts.map((part) => [part.name, part] as const),
    metadata,
  );
}

/** As bytes, for a part. */
export function bytesOf({ data }: Pick<SafetensorsTensor, 'data'>): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** A tensor as a part that is written as it is. */
export function partOf(name: string, tensor: SafetensorsTensor): Part {
  const bytes = bytesOf(tensor);
  return { name, dtype: tensor.dtype, shape: tensor.shape, byteLength: bytes.byteLength, load: () => bytes };
}

/** The tensors of an open file as parts that are written as they are, and read only then. */
export function partsOfFile(file: SafetensorsFile): Part[] {
  return [...file.tensors].map(([name, { dtype, shape, byteLength }]) => {
    return { name, dtype, shape, byteLength, load: async () => bytesOf(await file.read(name)) };
  });
}
