/** Bytes in a file or in memory, read piece by piece. */

import { type FileHandle, open, stat } from 'node:fs/promises';
import { allocateHost, nameOfTypedArray } from '../dtype';
import { BatchNormError, expected, show } from '../errors';
import { checkPath } from './place';

export interface ByteSource {
  /** For messages. */
  readonly name: string;
  readonly byteLength: number;
  /** A copy of bytes that are there: the caller has checked it. */
  read(begin: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** @throws {BatchNormError} `ERR_INVALID_ARGUMENT` for what is neither bytes nor an ordinary file; and Node.js's own errors. */
export async function openSource(source: unknown): Promise<ByteSource> {
  if (nameOfTypedArray(source) === 'Uint8Array') return bytesOf(source as Uint8Array);
  const path = checkPath(source, 'source', 'a path, a file: URL or a Uint8Array');
  if (!(await stat(path)).isFile()) throw expected('an ordinary file', 'source', path); // before open(), which waits at a pipe
  const file = await open(path);
  try {
    return fileOf(file, path, (await file.stat()).size);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function bytesOf(bytes: Uint8Array): ByteSource {
  return {
    name: 'bytes',
    byteLength: bytes.byteLength,
    async read(begin, length) {
      if (bytes.byteLength < begin + length) throw cut('bytes');
      return new Uint8Array(bytes.subarray(begin, begin + length));
    },
    close: async () => {},
  };
}

function cut(name: string): BatchNormError {
  return new BatchNormError('ERR_STATE', `Expected ${name} to stay as it was opened but it is shorter now`);
}

const LONGEST_READ = 2 ** 30; // the system reads no more than 2 GiB at once

/** An open file; what goes wrong leaves it open. */
export function fileOf(file: FileHandle, path: string, byteLength: number): ByteSource {
  return {
    name: show(path),
    byteLength,
    async read(begin, length) {
      const bytes = allocateHost(Uint8Array, length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, Math.min(length - done, LONGEST_READ), begin + done);
        if (bytesRead === 0) throw cut(show(path));
        done += bytesRead;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}
