/** A training of a fixed number of steps. */

import { type Dataset, select } from '../../datasets/dataset';
import type { Random } from '../../random';
import { Descent } from './descent';
import type { Parameter } from './layer';
import type { Values } from './values';

/** What can be trained. */
export interface Learner {
  readonly parameters: readonly Parameter[];
  /** The mean loss of these rows; leaves gradients in the parameters. */
  learn(input: Values, labels: Uint8Array): number;
}

export interface TrainingOptions {
  steps: number;
  batchSize: number;
  learningRate: number;
  /** 0.9 when left out. */
  momentum?: number;
  /** Gives the order of the rows. */
  random: Random;
  /** Called before each step, with the share of the training that is done. */
  beforeStep?(share: number): void;
  /** Called after each step, with the number of steps done and the loss of the step's batch. */
  afterStep?(step: number, loss: number): void;
}

/**
 * Trains the network. Ends early where the loss is no number any more: nothing comes after that.
 *
 * @returns the loss of each step's batch.
 */
export function train(network: Learner, data: Dataset, options: TrainingOptions): number[] {
  const { steps, learningRate, momentum = 0.9, beforeStep, afterStep } = options;
  const descent = new Descent(network.parameters, learningRate, momentum);
  const losses: number[] = [];
  for (const batch of batches(data, options.batchSize, options.random)) {
    beforeStep?.(losses.length / steps);
    const loss = network.learn(batch.features, batch.labels);
    descent.step();
    losses.push(loss);
    afterStep?.(losses.length, loss);
    if (losses.length >= steps || !Number.isFinite(loss)) break;
  }
  return losses;
}

/** Batches without end: all rows in random order, and again in another; what is left over at the end of a round is left out. */
export function* batches(data: Dataset, batchSize: number, random: Random): Generator<Dataset> {
  const size = Math.min(batchSize, data.count);
  for (;;) {
    const order = random.permutation(data.count);
    for (let start = 0; start + size <= data.count; start += size) yield select(data, order.subarray(start, start + size));
  }
}
