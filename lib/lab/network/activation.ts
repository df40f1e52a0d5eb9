/** Activations, element by element. */

import type { Layer } from './layer';
import { Memory, type Precision, type Values } from './values';

export type ActivationName = 'relu' | 'tanh' | 'sigmoid';

export class Activation implements Layer {
  readonly parameters = [];
  readonly #name: ActivationName;
  readonly #output: Memory;
  readonly #inputGradient: Memory;
  #input: Values | undefined;
  #last: Values | undefined;

  constructor(name: ActivationName, precision: Precision) {
    this.#name = name;
    this.#output = new Memory(precision);
    this.#inputGradient = new Memory(precision);
  }

  /** What the last pass gave the layer to work on. */
  get input(): Values {
    return this.#input!;
  }

  forward(input: Values): Values {
    this.#input = input;
    const output = this.#output.take(input.length);
    apply(this.#name, input, output);
    this.#last = output;
    return output;
  }

  backward(gradient: Values): Values {
    const inputGradient = this.#inputGradient.take(gradient.length);
    multiplyByDerivative(this.#name, this.#last!, gradient, inputGradient);
    return inputGradient;
  }

  dispose(): void {}
}

function apply(name: ActivationName, input: Values, output: Values): void {
  // Not by Math.max, so that what is not a number stays so.
  if (name === 'relu') for (let i = 0; i < input.length; i++) output[i] = input[i]! < 0 ? 0 : input[i]!;
  else if (name === 'tanh') for (let i = 0; i < input.length; i++) output[i] = Math.tanh(input[i]!);
  else for (let i = 0; i < input.length; i++) output[i] = 1 / (1 + Math.exp(-input[i]!));
}

/** Each derivative by what the activation gave. */
function multiplyByDerivative(name: ActivationName, output: Values, gradient: Values, out: Values): void {
  if (name === 'relu') for (let i = 0; i < out.length; i++) out[i] = output[i]! > 0 ? gradient[i]! : 0;
  else if (name === 'tanh') for (let i = 0; i < out.length; i++) out[i] = gradient[i]! * (1 - output[i]! * output[i]!);
  else for (let i = 0; i < out.length; i++) out[i] = gradient[i]! * output[i]! * (1 - output[i]!);
}
