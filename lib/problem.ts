import { checkActivation } from './activation';
import { ACTIVATION_CODES, type ActivationCode } from './addon';
import { type Backend, checkBackend } from './backend';
import type { Device } from './device';
import type { DType, ParameterDType } from './dtype';
import { BatchNormError, expected, show } from './errors';
import { checkInPlace } from './in_place';
import { checkRenorm, type Renorm } from './renorm';
import type { Tensor } from './tensor';
import { checkInteger, checkNonNegative } from './validate';

/** What a batch norm is apart from its tensors. */
export interface Settings {
  readonly axis: number;
  readonly eps: number;
  readonly activation: ActivationCode;
  readonly dtype: ParameterDType;
  readonly device: Device;
  readonly backend: Backend;
  /** Whether the output takes the input's place. */
  readonly inPlace: boolean;
  /** Null: none. */
  readonly renorm: Renorm | null;
  /** Most samples that are normalized together; null: all. */
  readonly virtualBatchSize: number | null;
}

/** Settings as callers spell them. */
export interface SettingOptions {
  readonly axis?: unknown;
  readonly eps?: unknown;
  readonly activation?: unknown;
  readonly backend?: unknown;
  readonly inPlace?: unknown;
  readonly renorm?: unknown;
  readonly virtualBatchSize?: unknown;
}

export function checkSettings(options: SettingOptions, dtype: ParameterDType, device: Device): Settings {
  const { axis = 1, eps = 1e-5, virtualBatchSize = null } = options;
  const activation = checkActivation(options.activation);
  const backend = checkBackend(options.backend, 'options.backend', device);
  return {
    axis: checkInteger(axis, 'options.axis', Number.MIN_SAFE_INTEGER),
    eps: checkNonNegative(eps, 'options.eps'),
    activation: ACTIVATION_CODES[activation],
    dtype,
    device,
    backend,
    inPlace: checkInPlace(options.inPlace, activation, backend),
    renorm: checkRenorm(options.renorm, backend),
    virtualBatchSize: virtualBatchSize === null ? null : checkInteger(virtualBatchSize, 'options.virtualBatchSize', 1),
  };
}

/** The canonical problem: an input seen as [outer, channels, inner]. */
export interface Problem {
  readonly settings: Settings;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly outer: number;
  readonly channels: number;
  readonly inner: number;
  /** Size of the first dimension, whose entries virtual batches do not divide. */
  readonly samples: number;
  /** Virtual batches of a training pass; 1: the batch is one. */
  readonly parts: number;
}

/** Folds the dimensions before the channel axis into `outer` and those after it into `inner`. */
export function problemOf(settings: Settings, input: Tensor): Problem {
  const { shape, dtype } = input;
  if (settings.dtype === 'float64' && (dtype === 'float16' || dtype === 'bfloat16')) {
    throw expected('dtype float32 or float64, as parameters of dtype float64 ask,', 'input', input, 'ERR_DTYPE');
  }
  if (shape.length < 2) throw expected('a tensor of rank 2 or more', 'input', input, 'ERR_SHAPE');
  const axis = settings.axis < 0 ? settings.axis + shape.length : settings.axis;
  if (axis < 0 || axis >= shape.length) {
    throw expected(`an axis of input's shape [${shape.join(', ')}]`, 'options.axis', settings.axis, 'ERR_SHAPE');
  }
  let outer = 1;
  let inner = 1;
  for (let i = 0; i < axis; ++i) outer *= shape[i]!;
  for (let i = axis + 1; i < shape.length; ++i) inner *= shape[i]!;
  const channels = shape[axis]!;
  if (channels === 0) throw expected('at least one channel', 'input', input, 'ERR_SHAPE');
  const samples = shape[0]!;
  return { settings, shape, dtype, outer, channels, inner, samples, parts: partsOf(settings, axis, samples) };
}

function partsOf({ virtualBatchSize }: Settings, axis: number, samples: number): number {
  if (virtualBatchSize === null) return 1;
  if (axis > 0) return Math.max(1, Math.ceil(samples / virtualBatchSize));
  throw new BatchNormError(
    'ERR_SHAPE',
    'Expected samples in the first dimension, as virtualBatchSize divides them, but received channels there (axis 0)',
  );
}

/** A single value has no variance. An empty batch is well: its output is empty too, and nothing is learned from it. */
export function checkBatch({ outer, inner, samples, parts, shape }: Problem): void {
  const fewest = parts === 1 ? outer * inner : Math.floor(samples / parts) * (outer / samples) * inner;
  if (fewest !== 1) return;
  const divided = parts === 1 ? '' : ` in ${parts} virtual batches`;
  throw new BatchNormError(
    'ERR_SHAPE',
    `Expected more than 1 value per channel when the batch's own statistics are used, for input but received shape ${show(shape)}${divided}`,
  );
}
