/** One run: a network trained by plain stochastic gradient descent, and a record of how it went. */

import * as tf from '@tensorflow/tfjs';
import { Random } from '../../random';
import type { Task } from '../../datasets/dataset';
import { accuracy } from '../../datasets/accuracy';
import { HIDDEN_LAYERS, makeNetwork, predict } from './network';

export interface RunSpec {
  /** For people: 'with batch norm, learning rate 1'. */
  name: string;
  batchNorm: boolean;
  learningRate: number;
}

export interface TrainingOptions {
  epochs: number;
  batchSize: number;
  seed: number;
  device: string;
}

/** What a layer's activation was given, at some steps of the training: over the batch and all units. */
export interface Distribution {
  step: number;
  mean: number;
  deviation: number;
  /** At QUANTILES. */
  quantiles: number[];
}

export interface Run extends RunSpec {
  /** Of each step's batch. */
  losses: number[];
  epochs: { loss: number; accuracy: number }[];
  /** One list per hidden layer. */
  drift: Distribution[][];
  samplesPerSecond: number;
  classifier: tf.LayersModel;
}

export interface Watcher {
  step(step: number, loss: number, samplesPerSecond: number): void;
  epoch(epoch: number, loss: number, accuracy: number, samplesPerSecond: number): void;
}

export const QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95] as const;
const OBSERVATIONS = 60; // per run

export function stepsPerEpoch(task: Task, batchSize: number): number {
  return Math.max(1, Math.floor(task.train.count / batchSize)); // a shorter last batch is left out
}

export async function train(task: Task, spec: RunSpec, options: TrainingOptions, watcher: Watcher): Promise<Run> {
  const { epochs, seed, device } = options;
  const batchSize = Math.min(options.batchSize, task.train.count);
  const random = new Random(seed);
  const network = makeNetwork({ inputs: task.train.width, classes: task.classes, batchNorm: spec.batchNorm, device, seed });
  const optimizer = tf.train.sgd(spec.learningRate);
  const steps = stepsPerEpoch(task, batchSize);
  const observeEvery = Math.max(1, Math.floor((steps * epochs) / OBSERVATIONS));
  const run: Run = {
    ...spec,
    losses: [],
    epochs: [],
    drift: Array.from({ length: HIDDEN_LAYERS }, () => []),
    samplesPerSecond: 0,
    classifier: network.classifier,
  };
  let trainingTime = 0;

  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = random.permutation(task.train.count);
    for (let step = 0; step < steps; step++) {
      const observed = run.losses.length % observeEvery === 0 ? run.drift : undefined;
      const start = performance.now();
      const loss = trainStep(
        network.observed,
        optimizer,
        task,
        order.subarray(step * batchSize, (step + 1) * batchSize),
        observed,
        run.losses.length,
      );
      trainingTime += performance.now() - start;
      run.losses.push(loss);
      run.samplesPerSecond = (run.losses.length * batchSize * 1000) / trainingTime;
      watcher.step(run.losses.length, loss, run.samplesPerSecond);
    }
    const loss = run.losses.slice(-steps).reduce((sum, value) => sum + value, 0) / steps;
    run.epochs.push({ loss, accuracy: accuracy(predict(network.classifier, task.test.features, task.test.count), task.test.labels) });
    watcher.epoch(epoch + 1, loss, run.epochs.at(-1)!.accuracy, run.samplesPerSecond);
    await new Promise(setImmediate); // lets the progress bar draw and signals arrive
  }
  optimizer.dispose();
  return run;
}

/** Returns the loss of the batch; with `drift`, notes what the activations were given. */
function trainStep(
  model: tf.LayersModel,
  optimizer: tf.Optimizer,
  task: Task,
  rows: Uint32Array,
  drift: Distribution[][] | undefined,
  step: number,
): number {
  return tf.tidy(() => {
    const { features, labels } = gather(task, rows);
    const targets = tf.oneHot(labels, task.classes).toFloat();
    const loss = optimizer.minimize(() => {
      const [logits, ...preActivations] = model.apply(features, { training: true }) as tf.Tensor[];
      drift?.forEach((layer, index) => {
        layer.push(describe(preActivations[index]!.dataSync() as Float32Array, step));
      });
      return tf.losses.softmaxCrossEntropy(targets, logits!) as tf.Scalar;
    }, true);
    return loss!.dataSync()[0]!;
  });
}

function gather({ train: { features, labels, width } }: Task, rows: Uint32Array): { features: tf.Tensor2D; labels: tf.Tensor1D } {
  const batch = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    batch.set(features.subarray(row * width, (row + 1) * width), index * width);
  });
  return {
    features: tf.tensor2d(batch, [rows.length, width]),
    labels: tf.tensor1d(
      Int32Array.from(rows, (row) => labels[row]!),
      'int32',
    ),
  };
}

function describe(values: Float32Array, step: number): Distribution {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const sorted = Float32Array.from(values).sort();
  const quantiles = QUANTILES.map((share) => sorted[Math.round(share * (sorted.length - 1))]!);
  return { step, mean, deviation: Math.sqrt(variance), quantiles };
}
