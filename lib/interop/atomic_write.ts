/** Files that appear as a whole or not at all. */

import { randomUUID } from 'node:crypto';
import { access, constants, type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expected } from '../errors';

/**
 * Lets `write` fill a temporary file beside `path`, and then puts it in the place of `path`. Where anything fails, what was there stays.
 *
 * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` where `path` is there and is no ordinary file; and Node.js's own errors.
 */
export async function writeAtomically(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  const { place, mode } = await placeOf(path);
  await access(dirname(place), constants.W_OK); // an error that names the folder, where that of open() would name the draft
  const draft = join(dirname(place), `.${randomUUID()}.tmp`);
  const file = await open(draft, 'wx', mode);
  try {
    try {
      if (mode !== undefined) await file.chmod(mode); // open() takes away what the umask forbids new files
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

interface Place {
  /** Where a link leads, so that the link stays one; a link that leads nowhere is replaced itself. */
  place: string;
  /** Who may do what with the file that is there; undefined where there is none. */
  mode: number | undefined;
}

async function placeOf(path: string): Promise<Place> {
  let place: string;
  try {
    place = await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { place: path, mode: undefined };
    throw error;
  }
  const found = await stat(place);
  if (!found.isFile()) throw expected('a file, or the name of a new one,', 'target', path);
  return { place, mode: found.mode & 0o777 };
}
