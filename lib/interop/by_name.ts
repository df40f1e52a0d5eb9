/** What callers give by name. */

import { expected } from '../errors';

/** The entries of a Map or an object. @param what - what is expected, for the message. @throws {BatchNormError} `ERR_INVALID_ARGUMENT`. */
export function entriesByName(value: unknown, what: string, name: string): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw expected(what, name, value);
  const entries: [unknown, unknown][] = value instanceof Map ? [...value] : Object.entries(value);
  for (const [key] of entries) if (typeof key !== 'string') throw expected('strings', `the names of ${name}`, key);
  return entries as [string, unknown][];
}
