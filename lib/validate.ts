/** Checks of plain values. Each throws a BatchNormError that names the argument, or returns the value with its type known. */

import { BatchNormError, expected } from './errors';

/** Passed by this package to constructors that are closed to users. */
export const INTERNAL = Symbol('internal');

/** Closes a constructor to everyone without {@link INTERNAL}. */
export function checkInternal(key: unknown, className: string, instead: string): void {
  if (key !== INTERNAL) throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected no direct construction of ${className}: use ${instead}`);
}

export function checkInteger(value: unknown, name: string, least: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw expected(least === 0 ? 'a non-negative integer' : least === 1 ? 'a positive integer' : 'an integer', name, value);
}

export function checkFinite(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw expected('a finite number', name, value);
}

export function checkNonNegative(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value;
  throw expected('a finite number of at least 0', name, value);
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw expected('a boolean', name, value);
}

export function checkChoice<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  if (choices.includes(value as T)) return value as T;
  throw expected(`one of ${quoted(choices)}`, name, value);
}

/** Options may be left out; what is given must be an object whose keys are all known. `where`: the argument's name. */
export function checkOptions(options: unknown, known: readonly string[], where = 'options'): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw expected('an object', where, options);
  for (const name in options) {
    if (!known.includes(name)) throw unknownOption(name, known, where);
  }
}

function unknownOption(name: string, known: readonly string[], where: string): BatchNormError {
  const near = known.find((candidate) => isClose(name.toLowerCase(), candidate.toLowerCase()));
  const hint = near === undefined ? '' : ` Did you mean '${near}'?`;
  return new BatchNormError(
    'ERR_INVALID_ARGUMENT',
    `Expected known names for ${where} but received '${name}'.${hint} Known: ${quoted(known)}`,
  );
}

function isClose(name: string, candidate: string): boolean {
  return name.startsWith(candidate) || (name.length > 2 && candidate.startsWith(name)) || editDistance(name, candidate) <= 2;
}

function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; ++i) {
    const next = [i];
    for (let j = 1; j <= to.length; ++j) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}

export function quoted(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}
