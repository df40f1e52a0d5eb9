import { type HostValues, hostValues, nameOfTypedArray, type ParameterDType } from './dtype';
import { BatchNormError, expected, wrongLength } from './errors';
import { checkShape, sameShape } from './shape';
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
  /** Values of one length by name; names that the state lacks are absent. */
  readonly values: ReadonlyMap<string, HostValues>;
  /** Undefined where the state says nothing of it. */
  readonly count: number | undefined;
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
  if (typeof state !== 'object' || state === null || Array.isArray(state)) throw expected('a state dictionary', 'state', state);
  const entries = new Map<string, unknown>(Object.entries(state));
  if (strict) checkKeys([...entries.keys()], names, counted ? [...names, COUNTER] : names);
  const values = new Map<string, HostValues>();
  for (const name of names) {
    if (entries.has(name)) values.set(name, checkEntry(entries.get(name), `state.${name}`, channels, target));
  }
  // Checkpoints older than the counter lack it, which counts as 0 where they bring statistics of their own.
  const absent = values.has('running_mean') || values.has('running_var') ? 0 : undefined;
  const count = counted && entries.has(COUNTER) ? checkCounter(entries.get(COUNTER)) : absent;
  return { values, count };
}

function checkKeys(keys: readonly string[], required: readonly string[], known: readonly string[]): void {
  const missing = required.filter((name) => !keys.includes(name));
  const unexpected = keys.filter((name) => !known.includes(name));
  if (missing.length === 0 && unexpected.length === 0) return;
  const lists = [missing.length > 0 ? `missing: ${quoted(missing)}` : '', unexpected.length > 0 ? `unexpected: ${quoted(unexpected)}` : ''];
  const found = lists.filter((list) => list !== '').join('; ');
  throw new BatchNormError('ERR_INVALID_ARGUMENT', `Expected the keys ${quoted(known)} for state but received others (${found})`);
}

function checkEntry(entry: unknown, name: string, channels: number, target: ParameterDType): HostValues {
  const { dtype, shape, data } = checkEntryObject(entry, name);
  if (dtype !== 'float32' && dtype !== 'float64') throw expected(`'float32' or 'float64'`, `${name}.dtype`, dtype, 'ERR_DTYPE');
  const dimensions = checkShape(shape, `${name}.shape`);
  if (dimensions.length === 1 && dimensions[0] !== channels) throw wrongLength(name, channels, dimensions[0]!);
  if (!sameShape(dimensions, [channels])) throw expected(`[${channels}]`, `${name}.shape`, shape, 'ERR_SHAPE');
  return hostValues(data, channels, target, `${name}.data`);
}

function checkCounter(entry: unknown): number {
  const name = `state.${COUNTER}`;
  const { dtype, shape, data } = checkEntryObject(entry, name);
  if (dtype !== 'int64') throw expected(`'int64'`, `${name}.dtype`, dtype, 'ERR_DTYPE');
  if (!sameShape(checkShape(shape, `${name}.shape`), [])) throw expected('[]', `${name}.shape`, shape, 'ERR_SHAPE');
  if (nameOfTypedArray(data) !== 'BigInt64Array') throw expected('a BigInt64Array', `${name}.data`, data);
  const values = data as BigInt64Array;
  if (values.length !== 1) throw wrongLength(`${name}.data`, 1, values.length);
  if (values[0]! < 0n || values[0]! > BigInt(Number.MAX_SAFE_INTEGER)) throw expected('a count from 0 to 2^53 - 1', `${name}.data`, data);
  return Number(values[0]);
}

function checkEntryObject(entry: unknown, name: string): Record<'dtype' | 'shape' | 'data', unknown> {
  if (typeof entry === 'object' && entry !== null) return entry as Record<'dtype' | 'shape' | 'data', unknown>;
  throw expected('an object { dtype, shape, data }', name, entry);
}
