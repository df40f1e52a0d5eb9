/** Stochastic gradient descent with momentum: v ← m·v + g, w ← w − r·v. */

import type { Parameter } from './layer';
import type { Values } from './values';

export class Descent {
  readonly #parameters: readonly Parameter[];
  readonly #velocities: readonly Values[];
  readonly #rate: number;
  readonly #momentum: number;

  constructor(parameters: readonly Parameter[], rate: number, momentum: number) {
    this.#parameters = parameters;
    this.#velocities = parameters.map(({ values }) => values.slice().fill(0));
    this.#rate = rate;
    this.#momentum = momentum;
  }

  step(): void {
    this.#parameters.forEach((parameter, index) => {
      move(parameter.values, parameter.gradient, this.#velocities[index]!, this.#rate, this.#momentum);
      parameter.changed?.();
    });
  }
}

function move(values: Values, gradient: Values, velocity: Values, rate: number, momentum: number): void {
  for (let i = 0; i < values.length; i++) {
    velocity[i] = momentum * velocity[i]! + gradient[i]!;
    values[i]! -= rate * velocity[i]!;
  }
}
