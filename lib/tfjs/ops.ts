/**
 * Batch normalization as operations on TensorFlow.js tensors, with first-order gradients. Operators of TensorFlow.js are synchronous,
 * so these block until the device is done.
 */

import * as tf from '@tensorflow/tfjs';
import { expected } from '../errors';
import {
  type Activation,
  type BatchNormBackwardOptions,
  batchNormBackward,
  batchNormInference,
  Device,
  Tensor,
  batchNormTraining as trainingForward,
} from '../index';
import { sameShape } from '../shape';
import { checkNonNegative, checkOptions } from '../validate';

/** What an operation is beside its tensors, checked. */
export interface Settings {
  /** The channel dimension, not negative. */
  axis: number;
  epsilon: number;
  activation: Activation;
  device: Device;
}

/** Options of {@link batchNormTraining}. */
export interface BatchNormTrainingOptions {
  /** Scale, `[channels]`; 1 when left out. */
  gamma?: tf.Tensor | undefined;
  /** Offset, `[channels]`; 0 when left out. */
  beta?: tf.Tensor | undefined;
  /** The channel dimension; −1. */
  axis?: number | undefined;
  /** Added to the variance; 1e-3, TensorFlow.js's default. */
  epsilon?: number | undefined;
  /** Applied to the result in the same pass; 'identity'. */
  activation?: Activation | undefined;
  /** Where it is computed; 'auto'. */
  device?: Device | string | undefined;
}

/** What {@link batchNormTraining} returns. */
export type BatchNormTrainingResult = {
  /** The normalized input, of its shape. */
  y: tf.Tensor;
  /** Mean of the batch, `[channels]`; a constant for gradients. */
  mean: tf.Tensor;
  /** Biased variance of the batch, `[channels]`; a constant for gradients. */
  variance: tf.Tensor;
};

/** A tensor, or numbers that TensorFlow.js makes one of. */
export type Input = tf.Tensor | tf.TensorLike;
/** An {@link Input} that may be left out. */
export type OptionalInput = Input | null | undefined;
type Tensors<Name extends string> = { readonly [name in Name]?: tf.Tensor | undefined };

const TRAINING_OPTIONS: readonly (keyof BatchNormTrainingOptions)[] = ['gamma', 'beta', 'axis', 'epsilon', 'activation', 'device'];

/** Device tensors of one operation, disposed of together however it ends. */
class Workspace implements Disposable {
  readonly #tensors: Tensor[] = [];
  readonly #device: Device;

  constructor(device: Device) {
    this.#device = device;
  }

  /** The same values on the device. */
  copy(tensor: tf.Tensor): Tensor {
    return this.own(Tensor.from(tensor.dataSync(), tensor.shape, { device: this.#device }));
  }

  copyOptional(tensor: tf.Tensor | undefined): Tensor | null {
    return tensor === undefined ? null : this.copy(tensor);
  }

  full(value: number, shape: number[]): Tensor {
    return this.own(Tensor.full(shape, value, { device: this.#device }));
  }

  own(tensor: Tensor): Tensor {
    this.#tensors.push(tensor);
    return tensor;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }
}

/** The values as a TensorFlow.js tensor. */
function bring(tensor: Tensor): tf.Tensor {
  return tf.tensor(tensor.readSync(), [...tensor.shape], 'float32');
}

/** tf.customGrad by name: `gradient` answers for all names, and is asked for those whose tensor was given. */
function withGradient<Name extends string>(
  tensors: Tensors<Name>,
  forward: () => tf.Tensor,
  gradient: (dy: tf.Tensor, saved: Tensors<Name>) => Record<Name, tf.Tensor>,
): tf.Tensor {
  const names = (Object.keys(tensors) as Name[]).filter((name) => tensors[name] !== undefined);
  const inputs = names.map((name) => tensors[name]!);
  const operation = tf.customGrad((...args) => {
    const save = args.at(-1) as tf.GradSaveFunc;
    save(inputs);
    return {
      value: forward(),
      gradFunc: (dy, saved) => {
        const named = Object.fromEntries(names.map((name, index) => [name, saved[index]])) as Tensors<Name>;
        const gradients = gradient(dy, named);
        return names.map((name) => gradients[name]);
      },
    };
  });
  return operation(...inputs);
}

/** Gradients of x, gamma and beta, these two whether or not they were given; `statistics` are the batch's, or a given mean and variance. */
function differentiate(
  dy: tf.Tensor,
  saved: Tensors<'x' | 'gamma' | 'beta'>,
  { axis, epsilon: eps, activation, device }: Settings,
  statistics: (workspace: Workspace) => Pick<BatchNormBackwardOptions, 'statistics' | 'mean' | 'variance'>,
): Record<'x' | 'gamma' | 'beta', tf.Tensor> {
  using workspace = new Workspace(device);
  const channels = dy.shape[axis]!;
  const weight = workspace.copyOptional(saved.gamma) ?? workspace.full(1, [channels]);
  const bias = workspace.copyOptional(saved.beta) ?? workspace.full(0, [channels]);
  const options = { axis, eps, activation, weight, bias, ...statistics(workspace) };
  const gradients = batchNormBackward(workspace.copy(dy), workspace.copy(saved.x!), options);
  const [x, gamma, beta] = [gradients.input, gradients.weight!, gradients.bias!].map((tensor) => workspace.own(tensor));
  return { x: bring(x!), gamma: bring(gamma!), beta: bring(beta!) };
}

/** The training operation with checked settings: normalizes with the batch's own statistics. */
export function normalizeBatch(
  x: tf.Tensor,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  settings: Settings,
): BatchNormTrainingResult {
  const { axis, epsilon: eps, activation, device } = settings;
  const channels = x.shape[axis]!;
  if (x.size === channels) return normalizeSingle(x, gamma, beta, settings);
  let statistics: Float32Array = new Float32Array();

  const forward = () => {
    using workspace = new Workspace(device);
    const weight = workspace.copyOptional(gamma);
    const bias = workspace.copyOptional(beta);
    const result = trainingForward(workspace.copy(x), { axis, eps, activation, weight, bias });
    const output = workspace.own(result.output);
    statistics = workspace.own(result.statistics).readSync() as Float32Array;
    return bring(output);
  };

  const gradient = (dy: tf.Tensor, saved: Tensors<'x' | 'gamma' | 'beta'>) =>
    differentiate(dy, saved, settings, (workspace) => ({ statistics: workspace.own(Tensor.from(statistics, [3, channels], { device })) }));

  const y = withGradient({ x, gamma, beta }, forward, gradient);
  return { y, mean: tf.tensor1d(statistics.slice(0, channels)), variance: tf.tensor1d(statistics.slice(2 * channels)) };
}

/**
 * A batch of one value per channel is its own mean and has no variance. TensorFlow.js trains on it, and the last batch of an epoch can be
 * such a one, so it is no error here.
 */
function normalizeSingle(
  x: tf.Tensor,
  gamma: tf.Tensor | undefined,
  beta: tf.Tensor | undefined,
  settings: Settings,
): BatchNormTrainingResult {
  const mean = tf.reshape(x, [-1]);
  const variance = tf.zerosLike(mean);
  const y = normalizeWith(x, mean, variance, beta, gamma, settings); // x's gradient needs the way through the mean
  return { y, mean: tf.tensor1d(x.dataSync()), variance };
}

/** The inference operation with checked settings: normalizes with given statistics; all tensors but x are `[channels]`. */
export function normalizeWith(
  x: tf.Tensor,
  mean: tf.Tensor,
  variance: tf.Tensor,
  beta: tf.Tensor | undefined,
  gamma: tf.Tensor | undefined,
  settings: Settings,
): tf.Tensor {
  const { axis, epsilon: eps, activation, device } = settings;

  const forward = () => {
    using workspace = new Workspace(device);
    const weight = workspace.copyOptional(gamma);
    const bias = workspace.copyOptional(beta);
    const options = { axis, eps, activation, weight, bias };
    return bring(workspace.own(batchNormInference(workspace.copy(x), workspace.copy(mean), workspace.copy(variance), options)));
  };

  const gradient = (dy: tf.Tensor, saved: Tensors<'x' | 'mean' | 'variance' | 'beta' | 'gamma'>) => {
    const given = (workspace: Workspace) => ({ mean: workspace.copy(saved.mean!), variance: workspace.copy(saved.variance!) });
    const gradients = differentiate(dy, saved, settings, given);
    // With r = 1/√(variance + ε): ∂y/∂mean = −γ·r, and ∂y/∂variance = −γ·x̂·r²/2. The sums over dy and dy·x̂ are β's and γ's gradients.
    const r = tf.rsqrt(tf.add(saved.variance!, eps));
    const slope = saved.gamma ? tf.mul(saved.gamma, r) : r;
    return {
      ...gradients,
      mean: tf.neg(tf.mul(gradients.beta, slope)),
      variance: tf.mul(tf.mul(gradients.gamma, -0.5), tf.mul(slope, r)),
    };
  };

  return withGradient({ x, mean, variance, beta, gamma }, forward, gradient);
}

function toTensor(value: Input, name: string): tf.Tensor {
  const tensor = value instanceof tf.Tensor ? value : makeTensor(value, name);
  if (tensor.dtype === 'string' || tensor.dtype === 'complex64') throw expected('real numbers', name, tensor.dtype, 'ERR_DTYPE');
  return tensor.dtype === 'float32' ? tensor : tf.cast(tensor, 'float32');
}

function makeTensor(value: tf.TensorLike, name: string): tf.Tensor {
  try {
    return tf.tensor(value);
  } catch {
    throw expected('a tensor or nested arrays of numbers', name, value);
  }
}

/** The channel dimension as a non-negative number; throws ERR_SHAPE when x has no such dimension. */
export function checkAxis(axis: unknown, rank: number): number {
  if (!Number.isInteger(axis)) throw expected('an integer', 'axis', axis);
  const dimension = (axis as number) < 0 ? (axis as number) + rank : (axis as number);
  if (dimension < 0 || dimension >= rank) throw expected(`a dimension of an input of rank ${rank}`, 'axis', axis, 'ERR_SHAPE');
  return dimension;
}

/** The channel dimension of x that a parameter of this shape describes; undefined when it has a value for each element. */
function axisOf(shape: readonly number[], x: tf.Tensor): number | undefined {
  if (sameShape(shape, x.shape)) return undefined;
  if (shape.length === 1 && shape[0] === x.shape.at(-1)) return x.rank - 1;
  const axis = x.shape.findLastIndex(
    (length, axis) => shape.length === x.rank && shape.every((size, i) => size === (i === axis ? length : 1)),
  );
  if (axis >= 0) return axis;
  throw expected(`shape [${x.shape.at(-1)}] or [${x.shape}]`, 'mean', shape, 'ERR_SHAPE');
}

/** The signature of `tf.batchNorm`: offset before scale. */
export type BatchNorm = (
  x: Input,
  mean: Input,
  variance: Input,
  offset?: OptionalInput,
  scale?: OptionalInput,
  varianceEpsilon?: number | null,
) => tf.Tensor;

function makeBatchNorm(rank?: number): BatchNorm {
  return (x, mean, variance, offset, scale, varianceEpsilon) =>
    tf.tidy(() => {
      const input = toTensor(x, 'x');
      if (rank !== undefined && input.rank !== rank) throw expected(`a tensor of rank ${rank}`, 'x', input.shape, 'ERR_SHAPE');
      const epsilon = checkNonNegative(varianceEpsilon ?? 0.001, 'varianceEpsilon');
      const first = toTensor(mean, 'mean');
      const axis = axisOf(first.shape, input);
      const vector = (value: OptionalInput, name: string) => (value == null ? undefined : toVector(value, name, first.shape));
      // A value for each element: as many channels as elements, in a batch of one.
      const folded = axis === undefined ? tf.reshape(input, [1, -1]) : input;
      const settings: Settings = { axis: axis ?? 1, epsilon, activation: 'identity', device: Device.get() };
      const statistics = [toVector(first, 'mean', first.shape), toVector(variance, 'variance', first.shape)] as const;
      const y = normalizeWith(folded, ...statistics, vector(offset, 'offset'), vector(scale, 'scale'), settings);
      return tf.reshape(y, input.shape);
    });
}

function toVector(value: Input, name: string, shape: number[]): tf.Tensor {
  const tensor = toTensor(value, name);
  if (!sameShape(tensor.shape, shape)) throw expected(`mean's shape [${shape}]`, name, tensor.shape, 'ERR_SHAPE');
  return tf.reshape(tensor, [-1]);
}

/**
 * Normalizes with given statistics: `(x − mean) / √(variance + varianceEpsilon) · scale + offset`, as `tf.batchNorm` does.
 *
 * `mean`, `variance`, `offset` and `scale` have one shape: `[channels]` for channels last, the shape of x, or the rank of x with 1 everywhere
 * but at the channel dimension. `varianceEpsilon` is 0.001 when left out. Gradients flow to all five tensors. Computed on `Device.get()`.
 */
export const batchNorm: BatchNorm = makeBatchNorm();
/** {@link batchNorm} that insists on rank 2. */
export const batchNorm2d: BatchNorm = makeBatchNorm(2);
/** {@link batchNorm} that insists on rank 3. */
export const batchNorm3d: BatchNorm = makeBatchNorm(3);
/** {@link batchNorm} that insists on rank 4. */
export const batchNorm4d: BatchNorm = makeBatchNorm(4);

/**
 * Normalizes with the mean and biased variance of the batch, which it returns too. Gradients flow from y to x, gamma and beta;
 * for x they include the way through the statistics.
 *
 * @param x any rank from 2; float32, or integers, which become float32
 */
export function batchNormTraining(x: Input, options: BatchNormTrainingOptions = {}): BatchNormTrainingResult {
  checkOptions(options, TRAINING_OPTIONS);
  return tf.tidy(() => {
    const input = toTensor(x, 'x');
    const settings: Settings = {
      axis: checkAxis(options.axis ?? -1, input.rank),
      epsilon: checkNonNegative(options.epsilon ?? 1e-3, 'epsilon'),
      activation: options.activation ?? 'identity',
      device: Device.get(options.device),
    };
    const shape = [input.shape[settings.axis]!];
    const parameter = (value: tf.Tensor | undefined, name: string) => {
      if (value === undefined) return undefined;
      const tensor = toTensor(value, name);
      if (!sameShape(tensor.shape, shape)) throw expected(`shape [${shape}]`, name, tensor.shape, 'ERR_SHAPE');
      return tensor;
    };
    return normalizeBatch(input, parameter(options.gamma, 'gamma'), parameter(options.beta, 'beta'), settings);
  });
}
