/** In training each value is dropped with a probability, and the others are scaled up to make up for it (Srivastava et al. 2014). */

import type { Random } from '../../random';
import type { Layer } from './layer';
import { Memory, type Precision, type Values } from './values';

export class Dropout implements Layer {
  readonly parameters = [];
  readonly #probability: number;
  readonly #random: Random;
  readonly #output: Memory;
  readonly #inputGradient: Memory;
  readonly #factors: Memory;

  constructor(probability: number, random: Random, precision: Precision) {
    this.#probability = probability;
    this.#random = random;
    this.#output = new Memory(precision);
    this.#inputGradient = new Memory(precision);
    this.#factors = new Memory(precision);
  }

  forward(input: Values, _rows: number, training: boolean): Values {
    if (!training) return input;
    const factors = this.#factors.take(input.length);
    const output = this.#output.take(input.length);
    for (let i = 0; i < input.length; i++) {
      factors[i] = this.#random.uniform() < this.#probability ? 0 : 1 / (1 - this.#probability);
      output[i] = input[i]! * factors[i]!;
    }
    return output;
  }

  backward(gradient: Values): Values {
    const factors = this.#factors.take(gradient.length);
    const inputGradient = this.#inputGradient.take(gradient.length);
    for (let i = 0; i < gradient.length; i++) inputGradient[i] = gradient[i]! * factors[i]!;
    return inputGradient;
  }

  dispose(): void {}
}
