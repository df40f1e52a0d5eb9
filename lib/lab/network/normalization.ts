/** Our batch norm as a layer among the others: values go to its device and come back. */

import { BatchNorm, type BatchNormOptions, type Tensor } from '../../index';
import type { Layer, Parameter } from './layer';
import { Uploads } from './uploads';
import { makeValues, type Precision, type Values } from './values';

export class Normalization implements Layer {
  readonly norm: BatchNorm;
  readonly #weight: Parameter;
  readonly #bias: Parameter;
  readonly #inputs: Uploads;
  readonly #gradients: Uploads;

  constructor(channels: number, precision: Precision, options: BatchNormOptions) {
    this.norm = new BatchNorm(channels, { ...options, dtype: precision });
    this.#weight = parameterOf(this.norm.weight!, 1, precision);
    this.#bias = parameterOf(this.norm.bias!, 0, precision);
    this.#inputs = new Uploads(this.norm.device, precision, channels);
    this.#gradients = new Uploads(this.norm.device, precision, channels);
  }

  get parameters(): readonly Parameter[] {
    return [this.#weight, this.#bias];
  }

  forward(input: Values, _rows: number, training: boolean): Values {
    using output = this.norm.train(training).forward(this.#inputs.write(input));
    return output.readSync();
  }

  backward(gradient: Values): Values {
    const gradients = this.norm.backward(this.#gradients.write(gradient));
    using input = gradients.input;
    using weight = gradients.weight!;
    using bias = gradients.bias!;
    this.#weight.gradient.set(weight.readSync());
    this.#bias.gradient.set(bias.readSync());
    return input.readSync();
  }

  /** Puts the exact statistics of these rows in place of the running ones. */
  async recalibrate(input: Values): Promise<void> {
    await this.norm.recalibrate([this.#inputs.write(input)]);
  }

  dispose(): void {
    this.norm.dispose();
    this.#inputs.dispose();
    this.#gradients.dispose();
  }
}

/** A vector of a layer on a device, all of one value at first, to be learned here. */
export function parameterOf(tensor: Tensor, start: number, precision: Precision): Parameter {
  const values = makeValues(tensor.size, precision).fill(start);
  tensor.write(values);
  return { values, gradient: makeValues(tensor.size, precision), changed: () => tensor.write(values) };
}
