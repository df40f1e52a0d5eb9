/**
 * A recurrent classifier: h(t) = tanh(norm(x(t)·Wx) + norm(h(t − 1)·Wh) + b), logits from the last h. The normalizations are those of
 * Cooijmans et al. 2017 (arXiv:1603.09025), who have them start with a small γ, and leave the shift to b.
 */

import { accuracy } from '../../datasets/accuracy';
import type { Dataset } from '../../datasets/dataset';
import { RecurrentBatchNorm } from '../../index';
import type { Random } from '../../random';
import { Dense } from './dense';
import type { Parameter } from './layer';
import { CrossEntropy } from './loss';
import { parameterOf } from './normalization';
import { Uploads } from './uploads';
import { addProduct, makeValues, type Precision, transpose, type Values } from './values';

/** γ at the start: with 1, tanh would saturate from the start. */
const FIRST_WEIGHT = 0.1;

export interface RecurrentOptions {
  /** A row of the input is `steps` times `width` values. */
  steps: number;
  width: number;
  units: number;
  classes: number;
  /** Which of the two sums are normalized. */
  normalized: 'none' | 'input' | 'both';
  /** Time steps with running statistics of their own; 1: one set for all. */
  horizon: number;
  device: string;
  random: Random;
  /** float32 when left out. */
  precision?: Precision;
}

export class Recurrent {
  readonly parameters: readonly Parameter[];
  readonly #options: Required<RecurrentOptions>;
  readonly #inputSum: Sum;
  readonly #stateSum: Sum;
  readonly #bias: Parameter;
  readonly #top: Dense;
  readonly #loss: CrossEntropy;
  /** h(t), from t = 0 on. */
  #states: Values[] = [];

  constructor(options: RecurrentOptions) {
    const all = { precision: 'float32' as const, ...options };
    const { width, units, classes, random, precision, normalized } = all;
    this.#options = all;
    this.#inputSum = new Sum(all, width, normalized !== 'none');
    this.#stateSum = new Sum(all, units, normalized === 'both');
    this.#bias = { values: makeValues(units, precision), gradient: makeValues(units, precision) };
    this.#top = new Dense({ inputs: units, outputs: classes, bias: true, deviation: 1 / Math.sqrt(units), random, precision });
    this.#loss = new CrossEntropy(precision);
    this.parameters = [...this.#inputSum.parameters, ...this.#stateSum.parameters, this.#bias, ...this.#top.parameters];
  }

  /** From rows of `steps · width` values to logits `[rows, classes]`. */
  forward(input: Values, rows: number, training: boolean): Values {
    const { steps, units, precision } = this.#options;
    let state = makeValues(rows * units, precision);
    this.#states = [];
    for (let step = 0; step < steps; step++) {
      const fromInput = this.#inputSum.forward(this.#slice(input, rows, step), step, training);
      const fromState = this.#stateSum.forward(state, step, training);
      state = makeValues(rows * units, precision);
      for (let i = 0; i < state.length; i++) state[i] = Math.tanh(fromInput[i]! + fromState[i]! + this.#bias.values[i % units]!);
      this.#states.push(state);
    }
    return this.#top.forward(state, rows);
  }

  /** One pass forth and back: the mean loss of these rows; gradients are left in the parameters. */
  learn(input: Values, labels: Uint8Array): number {
    const { loss, gradient } = this.#loss.evaluate(this.forward(input, labels.length, true), labels);
    this.#backward(this.#top.backward(gradient));
    return loss;
  }

  /** Accuracy as in use; with `training` by the statistics of the batch that these rows are. */
  accuracy({ features, labels, count }: Dataset, training = false): number {
    return accuracy(this.forward(features, count, training), labels);
  }

  dispose(): void {
    this.#inputSum.dispose();
    this.#stateSum.dispose();
  }

  #backward(last: Values): void {
    const { steps, units } = this.#options;
    for (const { gradient } of this.parameters.slice(0, -this.#top.parameters.length)) gradient.fill(0);
    let ofState = last;
    for (let step = steps - 1; step >= 0; step--) {
      const state = this.#states[step]!;
      const ofSum = ofState.map((value, i) => value * (1 - state[i]! * state[i]!));
      for (let i = 0; i < ofSum.length; i++) this.#bias.gradient[i % units]! += ofSum[i]!;
      this.#inputSum.backward(ofSum, step);
      ofState = this.#stateSum.backward(ofSum, step);
    }
  }

  #slice(input: Values, rows: number, step: number): Values {
    const { steps, width, precision } = this.#options;
    const slice = makeValues(rows * width, precision);
    for (let row = 0; row < rows; row++) {
      const start = (row * steps + step) * width;
      slice.set(input.subarray(start, start + width), row * width);
    }
    return slice;
  }
}

/** x(t) · W, normalized or not, at all time steps. */
class Sum {
  readonly parameters: readonly Parameter[];
  readonly #weight: Parameter;
  readonly #inputs: number;
  readonly #units: number;
  readonly #precision: Precision;
  readonly #norm: StepNormalization | null;
  readonly #seen: Values[] = [];

  constructor({ units, random, precision, horizon, device }: Required<RecurrentOptions>, inputs: number, normalized: boolean) {
    this.#inputs = inputs;
    this.#units = units;
    this.#precision = precision;
    this.#weight = { values: makeValues(inputs * units, precision), gradient: makeValues(inputs * units, precision) };
    for (let i = 0; i < inputs * units; i++) this.#weight.values[i] = random.normal() / Math.sqrt(inputs);
    this.#norm = normalized ? new StepNormalization(units, horizon, precision, device) : null;
    this.parameters = this.#norm ? [this.#weight, this.#norm.weight] : [this.#weight];
  }

  forward(input: Values, step: number, training: boolean): Values {
    this.#seen[step] = input;
    const rows = input.length / this.#inputs;
    const sum = makeValues(rows * this.#units, this.#precision);
    addProduct(sum, input, this.#weight.values, rows, this.#inputs, this.#units);
    return this.#norm ? this.#norm.forward(sum, step, training) : sum;
  }

  /** Adds to the gradients of the parameters, and gives that of the input. */
  backward(gradient: Values, step: number): Values {
    const [inputs, units] = [this.#inputs, this.#units];
    const rows = gradient.length / units;
    const ofSum = this.#norm ? this.#norm.backward(gradient, step) : gradient;
    const turned = transpose(makeValues(rows * inputs, this.#precision), this.#seen[step]!, rows, inputs);
    addProduct(this.#weight.gradient, turned, ofSum, inputs, rows, units);
    const turnedWeight = transpose(makeValues(inputs * units, this.#precision), this.#weight.values, inputs, units);
    const ofInput = makeValues(rows * inputs, this.#precision);
    addProduct(ofInput, ofSum, turnedWeight, rows, units, inputs);
    return ofInput;
  }

  dispose(): void {
    this.#norm?.dispose();
  }
}

/** Our recurrent batch norm: values go to its device and come back. */
class StepNormalization {
  readonly weight: Parameter;
  readonly #norm: RecurrentBatchNorm;
  readonly #inputs: Uploads;
  readonly #gradients: Uploads;

  constructor(channels: number, horizon: number, precision: Precision, device: string) {
    this.#norm = new RecurrentBatchNorm(channels, { horizon, affine: 'weight', dtype: precision, device });
    this.weight = parameterOf(this.#norm.weight!, FIRST_WEIGHT, precision);
    this.#inputs = new Uploads(this.#norm.device, precision, channels);
    this.#gradients = new Uploads(this.#norm.device, precision, channels);
  }

  forward(input: Values, step: number, training: boolean): Values {
    using output = this.#norm.train(training).forward(this.#inputs.write(input, step), step);
    return output.readSync();
  }

  backward(gradient: Values, step: number): Values {
    const gradients = this.#norm.backward(this.#gradients.write(gradient, step), step);
    using input = gradients.input;
    using weight = gradients.weight!;
    weight.readSync().forEach((share, i) => {
      this.weight.gradient[i]! += share;
    });
    return input.readSync();
  }

  dispose(): void {
    this.#norm.dispose();
    this.#inputs.dispose();
    this.#gradients.dispose();
  }
}
