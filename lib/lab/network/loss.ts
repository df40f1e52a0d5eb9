/** Softmax and cross-entropy, together. */

import { Memory, type Precision, type Values } from './values';

export class CrossEntropy {
  readonly #gradient: Memory;

  constructor(precision: Precision) {
    this.#gradient = new Memory(precision);
  }

  /** Mean loss of rows of logits `[rows, classes]`, and its gradient of them. Not a number where a logit is none. */
  evaluate(logits: Values, labels: Uint8Array): { loss: number; gradient: Values } {
    const rows = labels.length;
    const classes = logits.length / rows;
    const gradient = this.#gradient.take(logits.length);
    let loss = 0;
    for (let row = 0; row < rows; row++) {
      const start = row * classes;
      let greatest = -Infinity;
      for (let k = 0; k < classes; k++) greatest = Math.max(greatest, logits[start + k]!);
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += Math.exp(logits[start + k]! - greatest);
      for (let k = 0; k < classes; k++) gradient[start + k] = Math.exp(logits[start + k]! - greatest) / sum / rows;
      gradient[start + labels[row]!]! -= 1 / rows;
      loss += (Math.log(sum) + greatest - logits[start + labels[row]!]!) / rows;
    }
    return { loss, gradient };
  }
}
