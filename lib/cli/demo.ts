/** `cuda-batchnorm demo`: what batch norm does for a network, measured here and now. */

import '../tfjs/peer';
import { writeFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs';
import { Device } from '../index';
import { chooseBackend } from './demo/backend';
import { type Checkpoint, saveAndCompare } from './demo/checkpoint';
import type { Task } from '../datasets/dataset';
import { type DemoOptions, HELP, parseOptions } from './demo/options';
import { makeProgress } from './demo/progress';
import { makeReport } from './demo/report';
import { loadTask } from './demo/task';
import { type Run, type RunSpec, stepsPerEpoch, train } from './demo/training';
import { prepareReport } from './report_file';

/** At the high one this network without batch norm learns little or nothing; what comes of it is measured, not assumed. */
const LEARNING_RATES = [0.1, 1] as const;

const SPECS: readonly RunSpec[] = LEARNING_RATES.flatMap((learningRate) =>
  [false, true].map((batchNorm) => ({
    name: `${batchNorm ? 'with' : 'without'} batch norm, learning rate ${learningRate}`,
    batchNorm,
    learningRate,
  })),
);

/** All that the demo found out. */
export interface DemoResult {
  task: Task;
  options: DemoOptions;
  device: Device;
  backend: string;
  runs: Run[];
  checkpoint: Checkpoint;
  seconds: number;
}

/** Runs the command with the arguments after its name. */
export async function run(args: string[]): Promise<void> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  await prepareReport(options.report);
  const result = await measure(options);
  // First: a report that fails must not take it along.
  process.stdout.write(options.json ? `${JSON.stringify(summarize(result), null, 2)}\n` : describe(result));
  await writeFile(options.report, makeReport(result));
  for (const { classifier } of result.runs) classifier.dispose();
}

async function measure(options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const device = Device.get(options.device);
  const task = await loadTask(options);
  const backend = await chooseBackend();
  if (!options.json) process.stderr.write(`${introduce(task, options, device, backend)}\n`);
  const progress = makeProgress(options.json);
  const runs: Run[] = [];
  for (const spec of SPECS) {
    const watcher = progress.begin(spec.name, options.epochs * stepsPerEpoch(task, options.batchSize));
    runs.push(await train(task, spec, { ...options, device: device.name }, watcher));
    watcher.end();
  }
  const checkpoint = await saveAndCompare(best(runs).classifier, options.model, task.test);
  return { task, options, device, backend, runs, checkpoint, seconds: (performance.now() - start) / 1000 };
}

function best(runs: readonly Run[]): Run {
  return runs.filter(({ batchNorm }) => batchNorm).reduce((most, run) => (finalAccuracy(run) > finalAccuracy(most) ? run : most));
}

function finalAccuracy(run: Run): number {
  return run.epochs.at(-1)!.accuracy;
}

function introduce(
  { source, train, test, classes }: Task,
  { epochs, batchSize, seed }: DemoOptions,
  device: Device,
  backend: string,
): string {
  return [
    `Data        ${source}: ${train.count} rows to train on, ${test.count} to test on, ${train.width} values each, ${classes} classes`,
    `Batch norm  on ${device.name} (${device.description})`,
    `The rest    TensorFlow.js ${tf.version.tfjs} on its ${backend} backend`,
    `Training    ${epochs} epochs, batches of ${batchSize}, seed ${seed}`,
    '',
  ].join('\n');
}

function describe({ runs, checkpoint, options, seconds }: DemoResult): string {
  const percent = (run: Run) => `${(100 * finalAccuracy(run)).toFixed(1)}%`.padStart(18);
  const row = (batchNorm: boolean) =>
    runs
      .filter((run) => run.batchNorm === batchNorm)
      .map(percent)
      .join('');
  const same = checkpoint.identical
    ? 'the same logits bit for bit'
    : `logits that differ by at most ${checkpoint.greatestDifference.toExponential(1)}`;
  return [
    '',
    `Final test accuracy ${LEARNING_RATES.map((rate) => `learning rate ${rate}`.padStart(18)).join('')}`,
    `without batch norm  ${row(false)}`,
    `with batch norm     ${row(true)}`,
    '',
    `Saved the best network in ${checkpoint.folder}; loaded again it gives ${same}.`,
    `Report: ${options.report} (${seconds.toFixed(0)} s in all)`,
    '',
  ].join('\n');
}

/** The result for programs: no networks, no per-step series. */
function summarize({ task, options, device, backend, runs, checkpoint, seconds }: DemoResult) {
  return {
    data: { source: task.source, train: task.train.count, test: task.test.count, width: task.train.width, classes: task.classes },
    options: { seed: options.seed, epochs: options.epochs, batchSize: options.batchSize, quick: options.quick },
    device: { name: device.name, description: device.description },
    tensorflow: { version: tf.version.tfjs, backend },
    runs: runs.map((run) => ({
      name: run.name,
      batchNorm: run.batchNorm,
      learningRate: run.learningRate,
      accuracy: finalAccuracy(run),
      epochs: run.epochs,
      samplesPerSecond: run.samplesPerSecond,
    })),
    checkpoint,
    report: options.report,
    seconds,
  };
}
