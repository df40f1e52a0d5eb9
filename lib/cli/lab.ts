/** `cuda-batchnorm lab`: what is said of batch norm, put to the test here and now. */

import { writeFile } from 'node:fs/promises';
import type { Task } from '../datasets/dataset';
import { Device } from '../index';
import { type Experiment, type Finding, Lab } from '../lab';
import { loadDigits } from '../lab/data';
import { HELP, type LabOptions, parseOptions } from './lab/options';
import { makeProgress } from './lab/progress';
import { makeReport } from './lab/report';
import { describe, describeOutcome, forPrograms, introduce } from './lab/text';
import { prepareReport } from './report_file';

/** An experiment that was done. */
export interface Outcome {
  experiment: Experiment;
  finding: Finding;
  seconds: number;
}

/** All that the command found out. */
export interface LabResult {
  task: Task;
  options: LabOptions;
  device: Device;
  outcomes: readonly Outcome[];
  seconds: number;
}

/** Runs the command with the arguments after its name. */
export async function run(args: string[]): Promise<void> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  if (options.report !== undefined) await prepareReport(options.report);
  const result = await measure(options);
  process.stdout.write(options.json ? forPrograms(result) : describe(result)); // first: a report that fails must not take it along
  if (options.report !== undefined) await writeFile(options.report, makeReport(result));
}

async function measure(options: LabOptions): Promise<LabResult> {
  const start = performance.now();
  const device = Device.get(options.device);
  const task = await loadDigits(options);
  if (!options.json) process.stdout.write(introduce({ task, options, device }));
  const progress = makeProgress(options.chosen.length, options.json);
  const { seed, quick } = options;
  const lab = new Lab({ ...task, seed, quick, device: device.name, watch: progress.update });
  const outcomes: Outcome[] = [];
  for (const experiment of options.chosen) {
    progress.begin(experiment.title);
    const outcome = await timed(experiment, lab);
    progress.end();
    outcomes.push(outcome);
    if (!options.json) process.stdout.write(describeOutcome(outcome));
  }
  return { task, options, device, outcomes, seconds: (performance.now() - start) / 1000 };
}

async function timed(experiment: Experiment, lab: Lab): Promise<Outcome> {
  const start = performance.now();
  const finding = await experiment.run(lab);
  return { experiment, finding, seconds: (performance.now() - start) / 1000 };
}
