import { inspect } from 'node:util';

/**
 * What went wrong, for programs; the message says it for people. Codes are stable, messages are not.
 *
 * - `ERR_INVALID_ARGUMENT`: a value of the wrong type or range, or an option name that does not exist
 * - `ERR_SHAPE`: shapes, ranks, lengths or an axis that do not fit each other, or too few values for statistics
 * - `ERR_DTYPE`: an element type that does not exist or does not fit
 * - `ERR_DEVICE_MISMATCH`: tensors or streams of different devices in one call
 * - `ERR_DEVICE_UNAVAILABLE`: a device or backend that does not work here; the message says why
 * - `ERR_OUT_OF_MEMORY`: the device's memory or the host's; with byte counts, where they are known
 * - `ERR_DISPOSED`: use of a tensor or layer after its disposal
 * - `ERR_STATE`: a call that the present state does not allow, such as backward without a saved forward pass, folding a layer without running
 *   statistics, or reading a file that was cut after it was opened
 * - `ERR_CUDA`, `ERR_CUDNN`: a failure these libraries report
 * - `ERR_ADDON`: the native addon could not be loaded; the message lists what was tried, why it failed and what to do
 */
export type ErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_SHAPE'
  | 'ERR_DTYPE'
  | 'ERR_DEVICE_MISMATCH'
  | 'ERR_DEVICE_UNAVAILABLE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_DISPOSED'
  | 'ERR_STATE'
  | 'ERR_CUDA'
  | 'ERR_CUDNN'
  | 'ERR_ADDON';

/**
 * Every error this package throws, native ones included. Two kinds come from elsewhere as they are: functions that read and write files reject
 * with Node.js's own errors too, such as `ENOENT`, and importing a sub-path without the peer dependency it needs throws an Error with code
 * `MODULE_NOT_FOUND`.
 */
export class BatchNormError extends Error {
  /** Always `'BatchNormError'`. */
  declare readonly name: 'BatchNormError';
  /** What went wrong, for programs to compare. */
  readonly code: ErrorCode;

  static {
    // On the prototype, so that stack traces, which are made before fields are set, begin with it.
    Object.defineProperty(BatchNormError.prototype, 'name', { value: 'BatchNormError' });
  }

  /** @param code - what went wrong, for programs. @param message - the same, for people. */
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

const LONGEST_VALUE = 120;

const ONE_LINE = { depth: 1, maxArrayLength: 8, maxStringLength: 60, breakLength: Number.POSITIVE_INFINITY, compact: true } as const;

/** A value as error messages print it: one short line, whatever its size. */
export function show(value: unknown): string {
  const line = describe(value).replaceAll(/\s+/g, ' ');
  return line.length > LONGEST_VALUE ? `${line.slice(0, LONGEST_VALUE)}…` : line;
}

// A value may bring its own way to be printed, which may fail: on an object that only pretends to be a tensor, for one.
function describe(value: unknown): string {
  try {
    return inspect(value, ONE_LINE);
  } catch {
    return inspect(value, { ...ONE_LINE, customInspect: false });
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** The one message form for a bad argument; made, not thrown, so that callers read `throw expected(…)`. */
export function expected(what: string, name: string, value: unknown, code: ErrorCode = 'ERR_INVALID_ARGUMENT'): BatchNormError {
  return new BatchNormError(code, `Expected ${what} for ${name} but received ${show(value)} of type ${typeName(value)}`);
}

export function wrongLength(name: string, expectedLength: number, length: number): BatchNormError {
  return new BatchNormError('ERR_SHAPE', `Expected length ${expectedLength} for ${name} but received length ${length}`);
}
