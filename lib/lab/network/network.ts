/** Classifiers of dense layers, with and without batch norm. */

import { accuracy } from '../../datasets/accuracy';
import type { Dataset } from '../../datasets/dataset';
import type { BatchNormOptions } from '../../index';
import type { Random } from '../../random';
import { Activation, type ActivationName } from './activation';
import { Dense } from './dense';
import { Dropout } from './dropout';
import type { Layer, Parameter } from './layer';
import { CrossEntropy } from './loss';
import { Normalization } from './normalization';
import type { Precision, Values } from './values';

export interface NetworkOptions {
  inputs: number;
  classes: number;
  /** Number of hidden layers, and units in each. */
  depth: number;
  units: number;
  activation: ActivationName;
  /** Where batch norm stands: before the activation, after it, or nowhere. */
  norm: 'none' | 'before' | 'after';
  normOptions?: BatchNormOptions;
  /** Multiplies the weights at the start, which have the deviation √(2 / inputs) before a ReLU (He et al. 2015) and √(1 / inputs) elsewhere. 1 when left out. */
  weightScale?: number;
  /** Probability that an activation is dropped in training; 0 when left out. */
  dropout?: number;
  device: string;
  random: Random;
  /** Of all values; float32 when left out. */
  precision?: Precision;
}

export class Network {
  readonly parameters: readonly Parameter[];
  /** In the order of the layers. */
  readonly dense: readonly Dense[];
  readonly activations: readonly Activation[];
  readonly norms: readonly Normalization[];
  readonly #layers: readonly Layer[];
  readonly #loss: CrossEntropy;

  constructor(options: NetworkOptions) {
    this.#layers = makeLayers(options);
    this.#loss = new CrossEntropy(options.precision ?? 'float32');
    this.parameters = this.#layers.flatMap(({ parameters }) => parameters);
    this.dense = this.#layers.filter((layer) => layer instanceof Dense);
    this.activations = this.#layers.filter((layer) => layer instanceof Activation);
    this.norms = this.#layers.filter((layer) => layer instanceof Normalization);
  }

  /** From `[rows, inputs]` to logits `[rows, classes]`. */
  forward(input: Values, rows: number, training: boolean): Values {
    return this.#layers.reduce((values, layer) => layer.forward(values, rows, training), input);
  }

  /** One pass forth and back: the mean loss of these rows; gradients are left in the parameters. */
  learn(input: Values, labels: Uint8Array): number {
    const { loss, gradient } = this.#loss.evaluate(this.forward(input, labels.length, true), labels);
    this.#layers.reduceRight((values, layer) => layer.backward(values), gradient);
    return loss;
  }

  /** Loss and accuracy as in use: with the running statistics, nothing dropped. */
  test({ features, labels, count }: Dataset): { loss: number; accuracy: number } {
    const logits = this.forward(features, count, false);
    return { loss: this.#loss.evaluate(logits, labels).loss, accuracy: accuracy(logits, labels) };
  }

  /**
   * Puts the exact statistics over these rows in place of the running ones, layer by layer: each by what the recalibrated layers before it
   * hand over.
   */
  async recalibrate({ features, count }: Dataset): Promise<void> {
    let values: Values = features;
    for (const layer of this.#layers) {
      if (layer instanceof Normalization) await layer.recalibrate(values);
      values = layer.forward(values, count, false);
    }
  }

  dispose(): void {
    for (const layer of this.#layers) layer.dispose();
  }
}

function makeLayers(options: NetworkOptions): Layer[] {
  const { inputs, classes, depth, units, activation, norm, weightScale = 1, dropout = 0, random, device, precision = 'float32' } = options;
  const layers: Layer[] = [];
  const gain = activation === 'relu' ? Math.SQRT2 : 1;
  const normalize = () => layers.push(new Normalization(units, precision, { ...options.normOptions, device }));
  for (let layer = 0; layer < depth; layer++) {
    const width = layer === 0 ? inputs : units;
    const deviation = (weightScale * gain) / Math.sqrt(width);
    // Batch norm takes the mean away, and with it any bias before it.
    layers.push(new Dense({ inputs: width, outputs: units, bias: norm !== 'before', deviation, random, precision }));
    if (norm === 'before') normalize();
    layers.push(new Activation(activation, precision));
    if (norm === 'after') normalize();
    if (dropout > 0) layers.push(new Dropout(dropout, random, precision));
  }
  layers.push(new Dense({ inputs: units, outputs: classes, bias: true, deviation: weightScale / Math.sqrt(units), random, precision }));
  return layers;
}
