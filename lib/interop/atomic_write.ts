/** Files that appear as a whole or not at all. */

import { randomUUID } from 'node:crypto';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expected } from '../errors';

/**
 * Lets `write` fill a temporary file beside `path`, and then puts it in the place of `path`. Where anything fails, what was there stays.
 *
 * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` where `path` is there and is no ordinary file; and Node.js's own errors.
 */
export async function writeAtomically(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const place = await placeOf(path);
  const draft = join(dirname(place), `.${randomUUID()}.tmp`);
  const file = await open(draft, 'wx');
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, place);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Where a link leads, so that the link stays one. */
async function placeOf(path: string): Promise<string> {
  let place: string;
  try {
    place = await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
  if (!(await stat(place)).isFile()) throw expected('a file, or the name of a new one,', 'target', path);
  return place;
}
