import { ACTIVATION_CODES } from './addon';
import { checkChoice } from './validate';

/**
 * What is applied to the normalized value. leakyRelu has slope 0.01 below zero, elu has alpha 1, silu is x·sigmoid(x), and gelu is
 * the exact one, by the error function.
 */
export type Activation = 'identity' | 'relu' | 'leakyRelu' | 'elu' | 'sigmoid' | 'tanh' | 'silu' | 'gelu';

const ACTIVATIONS = Object.keys(ACTIVATION_CODES) as Activation[];

export function checkActivation(value: unknown): Activation {
  return value === undefined ? 'identity' : checkChoice(value, 'options.activation', ACTIVATIONS);
}
