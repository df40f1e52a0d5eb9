/** Our batch norm as a layer among the others: values go to its device and come back. */

import { BatchNorm, type BatchNormOptions, Tensor } from '../../index';
import type { Layer, Parameter } from './layer';
import { makeValues, type Precision, type Values } from './values';

export class Normalization implements Layer {
  readonly parameters: readonly Parameter[];
  readonly norm: BatchNorm;
  readonly #precision: Precision;
  /** Inputs by their number of rows, on the device. */
  readonly #inputs = new Map<number, Tensor>();
  readonly #gradients = new Map<number, Tensor>();

  constructor(channels: number, precision: Precision, options: BatchNormOptions) {
    this.#precision = precision;
    this.norm = new BatchNorm(channels, { ...options, dtype: precision });
    this.parameters = [this.#parameter(this.norm.weight, 1), this.#parameter(this.norm.bias, 0)];
  }

  forward(input: Values, rows: number, training: boolean): Values {
    using output = this.norm.train(training).forward(this.upload(input, rows));
    return output.readSync();
  }

  backward(gradient: Values): Values {
    const gradients = this.norm.backward(this.#upload(this.#gradients, gradient, gradient.length / this.norm.numFeatures));
    using input = gradients.input;
    using weight = gradients.weight!;
    using bias = gradients.bias!;
    this.parameters[0]!.gradient.set(weight.readSync());
    this.parameters[1]!.gradient.set(bias.readSync());
    return input.readSync();
  }

  /** The values as a tensor that lasts until the next call with as many rows. */
  upload(input: Values, rows: number): Tensor {
    return this.#upload(this.#inputs, input, rows);
  }

  dispose(): void {
    this.norm.dispose();
    for (const tensor of [...this.#inputs.values(), ...this.#gradients.values()]) tensor.dispose();
  }

  #parameter(tensor: Tensor | null, start: number): Parameter {
    const values = makeValues(this.norm.numFeatures, this.#precision).fill(start);
    return { values, gradient: makeValues(values.length, this.#precision), changed: () => tensor?.write(values) };
  }

  #upload(tensors: Map<number, Tensor>, values: Values, rows: number): Tensor {
    let tensor = tensors.get(rows);
    if (tensor === undefined) {
      tensor = Tensor.empty([rows, this.norm.numFeatures], { dtype: this.#precision, device: this.norm.device });
      tensors.set(rows, tensor);
    }
    tensor.write(values);
    return tensor;
  }
}
