import { type HostValues, hostValues, nameOfTypedArray, type ParameterDType } from './dtype';
import { BatchNormError, expected, wrongLength } from './errors';
import { checkShape, sameShape, sizeOf } from './shape';
import { quoted } from './validate';

/** One entry of a state dictionary. */
export interface StateEntry {
  /** `'float32'` or `'float64'`; `'int64'` for the counter. */
  dtype: string;
  /** `[C]`; `[]` for the counter. */
  shape: number[];
  /** The elements: a Float32Array, Float64Array or, for the counter, BigInt64Array. */
  data: ArrayBufferView;
}

/** State by PyTorch's names: `weight`, `bias`, `running_mean`, `running_var`, `num_batches_tracked`; without those the layer lacks. */
export type StateDict = Record<string, StateEntry>;

/** An entry as loading accepts it: shapes may be frozen, and data may be any array of numbers. */
export interface LoadableEntry {
  /** `'float32'` or `'float64'`; `'int64'` for the counter. */
  readonly dtype: string;
  /** `[C]`; `[]` for the counter. */
  readonly shape: readonly number[];
  /** The elements; for the counter a BigInt64Array. */
  readonly data: ArrayBufferView | readonly number[];
}

export const COUNTER = 'num_batches_tracked';

/** A state, checked in full before any of it is used. */
export interface CheckedState {
  /** By name; names that the state lacks are absent. */
  readonly values: ReadonlyMap<string, HostValues>;
  /** Undefined where the state says nothing of them. */
  readonly counts: readonly number[] | undefined;
}

/** Checks a state against the tensors that a layer has: all `[channels]`, by name. With `counted` there is a counter too. */
export function checkState(
  state: unknown,
  names: readonly string[],
  counted: boolean,
  channels: number,
  target: ParameterDType,
  strict: boolean,
): CheckedState {
  const shapes = Object.fromEntries(names.map((name) => [name, [channels]]));
  return checkStateOf(state, shapes, counted ? [] : null, target, strict);
}

/**
 * Checks a state against tensors by name and shape.
 *
 * @param counter - the shape of the counter; null where there is none.
 */
export function checkStateOf(
  state: unknown,
  shapes: Readonly<Record<string, readonly number[]>>,
  counter: readonly number[] | null,
  target: ParameterDType,
  strict: boolean,
): CheckedState {
  if (typeof state !== 'object' || state === null || Array.isArray(state)) throw expected('a state dictionary', 'state', state);
  const entries = new Map<string, unknown>(Object.entries(state));
  const names = Object.keys(shapes);
  if (strict) checkKeys([...entries.keys()], names, counter === null ? names : [...names, COUNTER]);
  const values = new Map<string, HostValues>();
  for (const name of names) {
    if (entries.has(name)) values.set(name, checkEntry(entries.get(name), `state.${name}`, shapes[name]!, target));
  }
  if (counter === null) return { values, counts: undefined };
  if (entries.has(COUNTER)) return { values, counts: checkCounter(entries.get(COUNTER), counter) };
  // Checkpoints older than the counter lack it, which counts as 0 where they bring statistics of their own.
  const old = values.has('running_mean') || values.has('running_var');
  return { values, counts: old ? new Array<number>(sizeOf(counter, 8)).fill(0) : undefined };
}

function checkKeys(keys: readonly string[], required: readonly string[], known: readonly string[]): void {
  const missing = required.filter((name) => !keys.includes(name));
  const unexpected = keys.filter((name) => !known.includes(name));
  if (missing.length === 0 && unexpected.length === 0) return;
  const lists = [missing.length > 0 ? `missing: ${quoted(missing)}` : '', unexpected.length > 0 ? `unexpected: ${quoted(unexpected)}` : ''];
  const found = lists.filter((list) => list !== '').join('; ');
  throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected the keys ${quoted(known)} for state but received others (${found})`);
}

function checkEntry(entry: unknown, name: string, shape: readonly number[], target: ParameterDType): HostValues {
  const { dtype, shape: given, data } = checkEntryObject(entry, name);
  if (dtype !== 'float32' && dtype !== 'float64') throw expected(`'float32' or 'float64'`, `${name}.dtype`, dtype, 'ERR_DTYPE');
  const dimensions = checkShape(given, `${name}.shape`);
  if (shape.length === 1 && dimensions.length === 1 && dimensions[0] !== shape[0]) throw wrongLength(name, shape[0]!, dimensions[0]!);
  if (!sameShape(dimensions, shape)) throw expected(`[${shape.join(', ')}]`, `${name}.shape`, given, 'ERR_SHAPE');
  return hostValues(data, sizeOf(shape, 8), target, `${name}.data`);
}

function checkCounter(entry: unknown, shape: readonly number[]): readonly number[] {
  const name = `state.${COUNTER}`;
  const { dtype, shape: given, data } = checkEntryObject(entry, name);
  if (dtype !== 'int64') throw expected(`'int64'`, `${name}.dtype`, dtype, 'ERR_DTYPE');
  if (!sameShape(checkShape(given, `${name}.shape`), shape)) throw expected(`[${shape.join(', ')}]`, `${name}.shape`, given, 'ERR_SHAPE');
  if (nameOfTypedArray(data) !== 'BigInt64Array') throw expected('a BigInt64Array', `${name}.data`, data);
  const values = [...(data as BigInt64Array)];
  const length = sizeOf(shape, 8);
  if (values.length !== length) throw wrongLength(`${name}.data`, length, values.length);
  if (values.some((value) => value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))) {
    throw expected('counts from 0 to 2^53 - 1', `${name}.data`, data);
  }
  return values.map(Number);
}

export function checkEntryObject(entry: unknown, name: string): Record<'dtype' | 'shape' | 'data', unknown> {
  if (typeof entry === 'object' && entry !== null) return entry as Record<'dtype' | 'shape' | 'data', unknown>;
  throw expected('an object { dtype, shape, data }', name, entry);
}
