/**
 * Tensors whose elements lie in a file beside the model. The model names that file, and a model may come from anywhere: nothing but regular
 * files in its own folder is opened.
 */

import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, sep, win32 } from 'node:path';
import { BatchNormError, show } from '../../errors';
import { fileOf } from '../byte_source';
import { refused } from './refused';
import type { TensorProto } from './schema';

/** The `byteLength` bytes of an external tensor. @param folder - the model's; undefined where the model was given as bytes. */
export async function readExternal(tensor: TensorProto, byteLength: number, folder: string | undefined, name: string): Promise<Uint8Array> {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = checkLocation(entries.get('location'), name);
  const offset = checkCount(entries.get('offset') ?? '0', 'offset', name);
  const length = checkCount(entries.get('length') ?? String(byteLength), 'length', name);
  if (length !== byteLength) throw refused(`${byteLength} bytes of external data`, name, `a length of ${length}`, 'ERR_SHAPE');
  if (folder === undefined) {
    throw refused('a model given by its path', name, `bytes, which do not tell where ${show(location)} is`);
  }
  const file = await openInside(folder, location, name);
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw refused('a regular file', name, `${show(location)}, which is none`);
    if (offset + length <= stat.size) return await fileOf(file, location, stat.size).read(offset, length);
    const received = `bytes ${offset} to ${offset + length} of ${show(location)}, which has ${stat.size}`;
    throw refused(`${length} bytes of external data`, name, received, 'ERR_SHAPE');
  } finally {
    await file.close();
  }
}

function checkLocation(location: string | undefined, name: string): string {
  const what = `a relative path without '..' as the location of external data`;
  if (location === undefined || location === '') throw refused(what, name, 'none');
  const leaves = isAbsolute(location) || win32.isAbsolute(location) || /^[a-z]:/i.test(location) || location.split(/[\\/]/).includes('..');
  if (leaves || location.includes('\0')) throw refused(what, name, show(location));
  return location;
}

function checkCount(text: string, what: string, name: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(count)) return count;
  throw refused(`a number of bytes as the ${what} of external data`, name, show(text));
}

async function openInside(folder: string, location: string, name: string): Promise<FileHandle> {
  try {
    const root = await realpath(folder);
    const path = await realpath(join(root, location));
    const way = relative(root, path);
    if (way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way)) throw outside(location, name);
    // A link put there since is not followed, and a pipe does not block.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof BatchNormError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw refused("a file in the model's folder", name, `${show(location)}, which cannot be opened: ${code}`);
  }
}

function outside(location: string, name: string): BatchNormError {
  return refused("a file in the model's folder", name, `${show(location)}, which leads out of it`);
}
