/** What a network is made of. */

import type { Values } from './values';

/** Something learned. */
export interface Parameter {
  values: Values;
  /** Of the loss; set anew by each backward pass. */
  gradient: Values;
  /** Called after `values` were changed. */
  changed?(): void;
}

export interface Layer {
  readonly parameters: readonly Parameter[];
  /** From `[rows, inputs]` to `[rows, outputs]`. The result is the layer's memory: it lasts until the next pass of as many rows. */
  forward(input: Values, rows: number, training: boolean): Values;
  /** From the loss's gradient of the last output to that of the last input; the last pass must have been one of training. */
  backward(gradient: Values): Values;
  dispose(): void;
}
