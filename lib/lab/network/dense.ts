/** y = x · W [+ b]. */

import type { Random } from '../../random';
import type { Layer, Parameter } from './layer';
import { addProduct, Memory, makeValues, type Precision, transpose, type Values } from './values';

export interface DenseOptions {
  inputs: number;
  outputs: number;
  bias: boolean;
  /** Standard deviation of the weights at the start. */
  deviation: number;
  random: Random;
  precision: Precision;
}

export class Dense implements Layer {
  readonly parameters: readonly Parameter[];
  /** `[inputs, outputs]`. */
  readonly weight: Parameter;
  readonly #bias: Parameter | null;
  readonly #inputs: number;
  readonly #outputs: number;
  readonly #output: Memory;
  readonly #inputGradient: Memory;
  readonly #turnedInput: Memory;
  readonly #turnedWeight: Values;
  #input: Values | undefined;

  constructor({ inputs, outputs, bias, deviation, random, precision }: DenseOptions) {
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.weight = { values: makeValues(inputs * outputs, precision), gradient: makeValues(inputs * outputs, precision) };
    for (let i = 0; i < inputs * outputs; i++) this.weight.values[i] = deviation * random.normal();
    this.#bias = bias ? { values: makeValues(outputs, precision), gradient: makeValues(outputs, precision) } : null;
    this.parameters = this.#bias ? [this.weight, this.#bias] : [this.weight];
    this.#output = new Memory(precision);
    this.#inputGradient = new Memory(precision);
    this.#turnedInput = new Memory(precision);
    this.#turnedWeight = makeValues(inputs * outputs, precision);
  }

  forward(input: Values, rows: number): Values {
    this.#input = input;
    const output = this.#output.take(rows * this.#outputs);
    if (this.#bias === null) output.fill(0);
    else for (let row = 0; row < rows; row++) output.set(this.#bias.values, row * this.#outputs);
    addProduct(output, input, this.weight.values, rows, this.#inputs, this.#outputs);
    return output;
  }

  backward(gradient: Values): Values {
    const [inputs, outputs] = [this.#inputs, this.#outputs];
    const rows = gradient.length / outputs;
    const turned = transpose(this.#turnedInput.take(rows * inputs), this.#input!, rows, inputs);
    this.weight.gradient.fill(0);
    addProduct(this.weight.gradient, turned, gradient, inputs, rows, outputs);
    if (this.#bias !== null) sumRows(this.#bias.gradient, gradient);
    const inputGradient = this.#inputGradient.take(rows * inputs).fill(0);
    addProduct(inputGradient, gradient, transpose(this.#turnedWeight, this.weight.values, inputs, outputs), rows, outputs, inputs);
    return inputGradient;
  }

  dispose(): void {}
}

function sumRows(out: Values, rows: Values): void {
  out.fill(0);
  for (let i = 0, column = 0; i < rows.length; i++, column = column + 1 === out.length ? 0 : column + 1) out[column]! += rows[i]!;
}
