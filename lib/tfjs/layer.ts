/** The layer: TensorFlow.js's own batch normalization with another heart. */

import * as tf from '@tensorflow/tfjs';
import { checkActivation } from '../activation';
import { expected } from '../errors';
import { type Activation, Device } from '../index';
import { checkBoolean, checkFinite, checkNonNegative, checkOptions } from '../validate';
import { checkAxis, normalizeBatch, normalizeWith, type Settings } from './ops';

/** The configuration of `tf.layers.batchNormalization`, and what is ours. */
export type BatchNormalizationConfig = NonNullable<Parameters<typeof tf.layers.batchNormalization>[0]> & {
  /** Applied to the result in the same pass; 'identity'. */
  activation?: Activation;
  /** Where it is computed; 'auto'. Belongs to the machine, so it is not saved with the model. */
  device?: Device | string;
};

const OPTIONS: readonly (keyof BatchNormalizationConfig)[] = [
  'axis',
  'momentum',
  'epsilon',
  'center',
  'scale',
  'betaInitializer',
  'gammaInitializer',
  'movingMeanInitializer',
  'movingVarianceInitializer',
  'betaConstraint',
  'gammaConstraint',
  'betaRegularizer',
  'gammaRegularizer',
  'inputShape',
  'batchInputShape',
  'batchSize',
  'dtype',
  'name',
  'trainable',
  'weights',
  'inputDType',
  'activation',
  'device',
];

type LayerVariable = ReturnType<tf.layers.Layer['addWeight']>;

/** What the layer inherits beyond tf.layers.Layer. */
interface TensorFlowLayer extends tf.layers.Layer {
  /** The channel dimension; negative counts from the end. */
  readonly axis: number;
  /** Weight of the old value in the moving averages. */
  readonly momentum: number;
  /** Added to the variance. */
  readonly epsilon: number;
  /** Scale, `[channels]`; absent with `scale: false`. */
  readonly gamma?: LayerVariable;
  /** Offset, `[channels]`; absent with `center: false`. */
  readonly beta?: LayerVariable;
  /** Moving average of the batches' means, `[channels]`. */
  readonly movingMean: LayerVariable;
  /** Moving average of the batches' biased variances, `[channels]`. */
  readonly movingVariance: LayerVariable;
}

interface TensorFlowLayerClass {
  new (config?: BatchNormalizationConfig): TensorFlowLayer;
  fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T;
}

/** Inherited: options, initializers, constraints, regularizers, weights and their order are then those of TensorFlow.js by construction. */
const TensorFlowBatchNormalization = tf.serialization.SerializationMap.getMap().classNameMap
  .BatchNormalization![0] as unknown as TensorFlowLayerClass;

function checkConfig(config: BatchNormalizationConfig): void {
  checkOptions(config, OPTIONS);
  const check = <T>(value: T | null | undefined, test: (value: T) => void) => {
    if (value != null) test(value); // null asks for the default, as everywhere in TensorFlow.js
  };
  check(config.axis, (axis) => {
    if (!Number.isInteger(axis)) throw expected('an integer', 'axis', axis);
  });
  check(config.momentum, (momentum) => checkFinite(momentum, 'momentum'));
  check(config.epsilon, (epsilon) => checkNonNegative(epsilon, 'epsilon'));
  check(config.center, (center) => checkBoolean(center, 'center'));
  check(config.scale, (scale) => checkBoolean(scale, 'scale'));
  check(config.activation, checkActivation);
}

/**
 * A layer that takes the place of `tf.layers.batchNormalization` in a model: the same configuration, the same weights in the same order
 * (gamma, beta, moving mean, moving variance), the same moving averages of the batch's mean and biased variance. Beyond it, any axis
 * and rank can be trained, so can `center: false` and `scale: false`, and an activation can be computed in the same pass.
 */
export class BatchNormalization extends TensorFlowBatchNormalization {
  /** The name in saved models. */
  static readonly className = 'CudaBatchNormalization';
  /** Applied to the result in the same pass. */
  readonly activation: Activation;
  /** Where it is computed. */
  readonly device: Device;

  constructor(config: BatchNormalizationConfig = {}) {
    checkConfig(config);
    const { activation, device, ...rest } = config;
    super(rest);
    this.activation = activation ?? 'identity';
    this.device = Device.get(device);
  }

  /** Called when a model is loaded; its loader adds an entry to the configuration that is no option. */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    { customObjects, ...config }: tf.serialization.ConfigDict,
  ): T {
    return new cls(config);
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs?: { training?: boolean }): tf.Tensor {
    const input = Array.isArray(inputs) ? inputs[0] : inputs;
    if (input === undefined || (Array.isArray(inputs) && inputs.length !== 1)) throw expected('exactly one tensor', 'inputs', inputs);
    return tf.tidy(() => {
      const { epsilon, activation, device } = this;
      const settings: Settings = { axis: checkAxis(this.axis, input.rank), epsilon, activation, device };
      const x = input.dtype === 'float32' ? input : tf.cast(input, 'float32');
      const gamma = this.gamma?.read();
      const beta = this.beta?.read();
      if (!kwargs?.training) return normalizeWith(x, this.movingMean.read(), this.movingVariance.read(), beta, gamma, settings);
      const { y, mean, variance } = normalizeBatch(x, gamma, beta, settings);
      this.#move(this.movingMean, mean);
      this.#move(this.movingVariance, variance);
      return y;
    });
  }

  #move(average: LayerVariable, value: tf.Tensor): void {
    const old = average.read();
    average.write(tf.sub(old, tf.mul(tf.sub(old, value), 1 - this.momentum))); // this order of operations gives TensorFlow.js's bits
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), activation: this.activation };
  }
}

tf.serialization.registerClass(BatchNormalization);

/** A new {@link BatchNormalization}, as `tf.layers.batchNormalization` makes one. */
export function batchNormalization(config?: BatchNormalizationConfig): BatchNormalization {
  return new BatchNormalization(config);
}
