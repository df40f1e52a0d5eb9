/** Files as callers name them. */

import { fileURLToPath } from 'node:url';
import { expected } from '../errors';

/**
 * The path that a string or a `file:` URL names.
 *
 * @param what - all that the caller takes, for the message.
 * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` for anything else.
 */
export function checkPath(value: unknown, name: string, what = 'a path or a file: URL'): string {
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  if (value instanceof URL && value.protocol === 'file:') {
    try {
      return checkPath(fileURLToPath(value), name, what);
    } catch {
      // a URL with a host, or with a path that no file has
    }
  }
  throw expected(what, name, value);
}
