/**
 * Batch norms of Keras and TensorFlow.js: a layer from their configuration and weights, and back. Neither of them is needed for it.
 *
 * Their momentum is the weight of the old value, 0.99 by default, their epsilon 1e-3, their axis the last one.
 */

import { type Activation, checkActivation } from '../activation';
import type { BackendName } from '../backend';
import { BatchNorm } from '../batch_norm';
import type { Device } from '../device';
import { type HostValues, hostValues, type NumericArray, nameOfTypedArray, type ParameterDType } from '../dtype';
import { BatchNormError, expected, wrongLength } from '../errors';
import type { BatchNormOptions } from '../layer';
import { checkShape } from '../shape';
import type { StateDict } from '../state_dict';
import { checkBoolean, checkFinite, checkInteger, checkNonNegative, checkOptions, quoted } from '../validate';
import { checkRange } from './float_values';
import { importedLayer } from './imported_layer';

/**
 * A BatchNormalization's configuration, as `get_config()` of Keras or `getConfig()` of TensorFlow.js gives it: names in snake_case or
 * camelCase, null or left out for a default.
 */
export interface KerasConfig {
  /** The channel dimension, −1 by default; Keras 2 saves a list of one. */
  readonly axis?: number | readonly [number] | null | undefined;
  /** Weight of the old value in the moving averages; 0.99 by default. */
  readonly momentum?: number | null | undefined;
  /** Added to the variance; 1e-3 by default. */
  readonly epsilon?: number | null | undefined;
  /** Whether there is a beta; true by default. */
  readonly center?: boolean | null | undefined;
  /** Whether there is a gamma; true by default. */
  readonly scale?: boolean | null | undefined;
  /** float32 by default; a policy counts by the type of its variables, and half types become float32. */
  readonly dtype?: string | object | null | undefined;
  /** Of `CudaBatchNormalization` of cuda-batchnorm/tfjs only. */
  readonly activation?: Activation | null | undefined;
  /** What does not change what is computed, and what must have the value that does not. */
  readonly [name: string]: unknown;
}

/** A weight: numbers, alone or with their shape, or a tensor of TensorFlow.js. */
export type KerasWeight = NumericArray | KerasArray | KerasTensor;

/** Numbers with their shape. */
export interface KerasArray {
  /** `[C]`. */
  readonly shape: readonly number[];
  /** C numbers. */
  readonly data: NumericArray;
}

/** What is made use of in a tensor of TensorFlow.js. */
export interface KerasTensor {
  /** `[C]`. */
  readonly shape: readonly number[];
  /** The elements. */
  dataSync(): ArrayLike<number> & ArrayBufferView;
}

/** What Keras does not say of a layer. */
export interface FromKerasOptions {
  /** A device or the name of one; `'auto'` when left out. */
  device?: Device | string | undefined;
  /** The library that computes; `'native'` when left out. */
  backend?: BackendName | undefined;
  /**
   * Which variance further training collects; `'biased'` when left out, as Keras 3 and TensorFlow.js do. TensorFlow's fused operation, which
   * Keras 2 uses for inputs of rank 4 with the channels last, collects the unbiased one.
   */
  runningVariance?: 'unbiased' | 'biased' | undefined;
}

/** A layer for Keras or TensorFlow.js. */
export interface KerasLayer {
  /** Their name for it. */
  className: 'BatchNormalization';
  /**
   * For `BatchNormalization.from_config(config)` and for `tf.layers.batchNormalization({ ...config, dtype: 'float32' })`: its names are the same
   * in both, and TensorFlow.js knows float32 alone.
   */
  config: KerasLayerConfig;
  /** For `set_weights` and `setWeights`, in their order: gamma, beta, moving mean, moving variance; without those the layer lacks. */
  weights: KerasLayerWeight[];
}

/** The configuration of a {@link KerasLayer}; all else is at its default. */
export interface KerasLayerConfig {
  /** The channel dimension, as the layer has it. */
  axis: number;
  /** 1 − the layer's. */
  momentum: number;
  /** Added to the variance. */
  epsilon: number;
  /** Whether there is a beta. */
  center: boolean;
  /** Whether there is a gamma. */
  scale: boolean;
  /** The layer's. */
  dtype: ParameterDType;
}

/** A weight of a {@link KerasLayer}, `[C]`. */
export interface KerasLayerWeight {
  /** Keras' name for it. */
  name: KerasWeightName;
  /** The layer's. */
  dtype: ParameterDType;
  /** `[C]`. */
  shape: [number];
  /** A copy of the elements. */
  data: Float32Array | Float64Array;
}

/** Keras' names of the weights. */
export type KerasWeightName = 'gamma' | 'beta' | 'moving_mean' | 'moving_variance';

/** Our names of theirs, in their order. */
const OUR_NAMES = { gamma: 'weight', beta: 'bias', moving_mean: 'running_mean', moving_variance: 'running_var' } as const;
const WEIGHT_NAMES = Object.keys(OUR_NAMES) as KerasWeightName[];

/** Of a configuration, in camelCase: what is made use of, … */
const USED = ['axis', 'momentum', 'epsilon', 'center', 'scale', 'dtype', 'activation'];
/** … what does not matter once there are weights, or never does, … */
const IGNORED = [
  'name',
  'trainable',
  'weights',
  'inputShape',
  'batchInputShape',
  'batchSize',
  'inputDType',
  'betaInitializer',
  'gammaInitializer',
  'movingMeanInitializer',
  'movingVarianceInitializer',
  'fused',
  'renormClipping',
  'renormMomentum',
];
/** … and what would change training in a way that has no counterpart here. */
const REFUSED = [
  'betaRegularizer',
  'gammaRegularizer',
  'betaConstraint',
  'gammaConstraint',
  'synchronized',
  'renorm',
  'virtualBatchSize',
  'adjustment',
];

/**
 * A layer, in eval mode, that computes what Keras' or TensorFlow.js' does.
 *
 * @param config - of a BatchNormalization. Initializers are ignored, because there are weights; `trainable: false` is, because eval mode is
 * what it asks for.
 * @param weights - as `get_weights()` or `getWeights()` gives them: gamma, beta, moving mean, moving variance, each `[C]`; without gamma
 * where `scale` is false, and without beta where `center` is.
 * @throws {BatchNormError} `ERR_INVALID_ARGUMENT` for what has no counterpart here: regularizers, constraints, renorm, virtual batches,
 * synchronization, several axes; and as `new BatchNorm`. `ERR_SHAPE` where weights do not fit each other, `ERR_DTYPE`, for numbers beyond
 * the range of the dtype too.
 */
export function fromKeras(
  config: KerasConfig | Readonly<Record<string, unknown>>,
  weights: readonly KerasWeight[],
  options?: FromKerasOptions,
): BatchNorm {
  checkOptions(options, ['device', 'backend', 'runningVariance']);
  const { device, backend, runningVariance = 'biased' } = options ?? {};
  const { scale, center, ...settings } = readConfig(config);
  const names = WEIGHT_NAMES.filter((name) => (name === 'gamma' ? scale : name === 'beta' ? center : true));
  const values = readWeights(weights, names, settings.dtype);
  const channels = values[0]!.length;
  const affine = scale && center ? true : scale ? 'weight' : center ? 'bias' : false;
  const state: StateDict = {};
  for (const [i, name] of names.entries()) state[OUR_NAMES[name]] = { dtype: settings.dtype, shape: [channels], data: values[i]! };
  return importedLayer(channels, { ...settings, affine, runningVariance, device, backend }, state);
}

type Settings = Required<Pick<BatchNormOptions, 'eps' | 'momentum' | 'axis' | 'activation'>> & {
  dtype: ParameterDType;
  scale: boolean;
  center: boolean;
};

function readConfig(config: unknown): Settings {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) throw expected('an object', 'config', config);
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config))
    given[name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())] = value;
  checkOptions(given, [...USED, ...IGNORED, ...REFUSED]);
  for (const name of REFUSED) checkAbsent(given[name], `config.${name}`);
  return {
    axis: checkAxis(given.axis ?? -1),
    momentum: 1 - checkFinite(given.momentum ?? 0.99, 'config.momentum'),
    eps: checkNonNegative(given.epsilon ?? 1e-3, 'config.epsilon'),
    scale: checkBoolean(given.scale ?? true, 'config.scale'),
    center: checkBoolean(given.center ?? true, 'config.center'),
    activation: checkActivation(given.activation ?? undefined),
    dtype: checkDType(given.dtype ?? 'float32'),
  };
}

function checkAbsent(value: unknown, name: string): void {
  if (value === undefined || value === null || value === false) return;
  throw expected('null or false (set it so to go without: a BatchNorm has no counterpart)', name, value);
}

function checkAxis(value: unknown): number {
  return checkInteger(Array.isArray(value) && value.length === 1 ? value[0] : value, 'config.axis', Number.MIN_SAFE_INTEGER);
}

const DTYPES: Readonly<Record<string, ParameterDType>> = {
  float64: 'float64',
  float32: 'float32',
  mixed_float16: 'float32',
  mixed_bfloat16: 'float32',
  float16: 'float32',
  bfloat16: 'float32',
};

/** A name, or a policy: `{ class_name: 'DTypePolicy', config: { name: … } }`. */
function checkDType(value: unknown): ParameterDType {
  const policy = value as { config?: { name?: unknown } | null };
  const name = typeof value === 'object' ? policy.config?.name : value;
  if (typeof name === 'string' && Object.hasOwn(DTYPES, name)) return DTYPES[name]!;
  throw expected(`one of ${quoted(Object.keys(DTYPES))}, or a policy of that name,`, 'config.dtype', value, 'ERR_DTYPE');
}

function readWeights(weights: unknown, names: readonly KerasWeightName[], dtype: ParameterDType): HostValues[] {
  if (!Array.isArray(weights)) throw expected('an array', 'weights', weights);
  if (weights.length !== names.length) {
    const message = `Expected ${names.length} weights (${names.join(', ')}) for weights but received ${weights.length}`;
    throw new BatchNormError('ERR_SHAPE', message);
  }
  let channels: number | undefined;
  return names.map((name, i) => {
    const values = readWeight(weights[i], name, dtype);
    channels ??= values.length;
    if (values.length !== channels) throw wrongLength(name, channels, values.length);
    return values;
  });
}

function readWeight(weight: unknown, name: string, dtype: ParameterDType): HostValues {
  if (Array.isArray(weight) || nameOfTypedArray(weight) !== undefined) {
    return valuesOf(weight, (weight as ArrayLike<unknown>).length, dtype, name);
  }
  if (typeof weight !== 'object' || weight === null) throw expected('an array of numbers, { shape, data } or a tensor', name, weight);
  const { shape } = weight as { shape?: unknown };
  const [length, ...more] = checkShape(shape, `shape of ${name}`);
  if (length === undefined || more.length > 0) throw expected('one dimension', `shape of ${name}`, shape, 'ERR_SHAPE');
  return valuesOf(dataOf(weight, name), length, dtype, name);
}

// As they are given: rounded to float32 here, what is beyond its range would be infinite already.
function valuesOf(data: unknown, length: number, dtype: ParameterDType, name: string): HostValues {
  return checkRange(hostValues(data, length, 'float64', name), dtype, name);
}

// The property `data` of a tensor is a method, which gives a promise.
function dataOf(weight: { dataSync?: unknown; data?: unknown }, name: string): unknown {
  if (typeof weight.dataSync !== 'function') return weight.data;
  try {
    return weight.dataSync();
  } catch (error) {
    throw new BatchNormError(
      'ERR_INVALID_ARGUMENT',
      `Expected a tensor that can be read for ${name} but received one that fails: ${error}`,
    );
  }
}

/**
 * A layer for Keras or TensorFlow.js that computes in inference what this one does.
 *
 * @param layer - with running statistics, a momentum that is not null, neither renorm nor virtual batches. Its `runningVariance` has no counterpart: they collect the biased
 * variance. An activation belongs in a layer of its own behind it.
 * @throws {BatchNormError} by rejection: `ERR_INVALID_ARGUMENT`, `ERR_DISPOSED`.
 */
export async function toKeras(layer: BatchNorm): Promise<KerasLayer> {
  if (!(layer instanceof BatchNorm)) throw expected('a BatchNorm', 'layer', layer);
  const { axis, momentum, eps, activation, dtype, numFeatures } = layer;
  if (momentum === null) throw noCounterpart('a number for momentum', 'null', 'Keras has no cumulative average');
  if (layer.runningMean === null) throw noCounterpart('running statistics', 'a layer without', 'Keras always keeps them');
  if (activation !== 'identity') throw noCounterpart(`activation 'identity'`, `'${activation}'`, 'put an Activation layer behind it');
  if (layer.renorm !== null) throw noCounterpart('no renorm', 'a layer with it', 'Keras has no batch renormalization any more');
  if (layer.virtualBatchSize !== null) {
    throw noCounterpart('no virtualBatchSize', `${layer.virtualBatchSize}`, 'Keras has no ghost batches any more');
  }
  const state = await layer.stateDict();
  const config: KerasLayerConfig = {
    axis,
    momentum: 1 - momentum,
    epsilon: eps,
    center: layer.bias !== null,
    scale: layer.weight !== null,
    dtype,
  };
  const weights = WEIGHT_NAMES.filter((name) => OUR_NAMES[name] in state).map((name): KerasLayerWeight => {
    return { name, dtype, shape: [numFeatures], data: state[OUR_NAMES[name]]!.data as HostValues };
  });
  return { className: 'BatchNormalization', config, weights };
}

function noCounterpart(what: string, received: string, reason: string): BatchNormError {
  return new BatchNormError('ERR_INVALID_ARGUMENT', `Expected ${what} for layer but received ${received}: ${reason}`);
}
