/**
 * Asks the addon, in a process of its own, because broken drivers and libraries end the process that calls them, or never return.
 * The steps come as arguments, and each answer goes out as a line of JSON, through a pipe that no library prints to.
 */

import { writeSync } from 'node:fs';
import { addon, LoadError } from '../../addon';
import type { BackendReport } from '../../device';
import { BatchNorm, Device, Tensor } from '../../index';
import type { Answers, Failure, Gpu, Step } from './answers';

const ANSWERS = 3; // the pipe's number

const STEPS: { [Name in Step]: () => Answers[Name] } = {
  addon: () => addon().path,
  cpu: () => tryOut(Device.get('cpu')).description,
  cuda: () => withoutCudnn(() => reportOf('cuda')),
  gpus: () =>
    addon()
      .deviceNames()
      .filter((name) => name !== 'cpu')
      .map(tryGpu),
  auto: () => tryOut(Device.get()).name,
  cudnn: () => tryCudnn(reportOf('cudnn')),
};

function reportOf(name: string): BackendReport {
  return Device.report().find((report) => report.name === name)!;
}

/** The report opens cuDNN's library, which may be broken; there is none in a folder that does not exist. */
function withoutCudnn<Result>(body: () => Result): Result {
  const { CUDNN_HOME } = process.env;
  process.env.CUDNN_HOME = '/nonexistent';
  try {
    return body();
  } finally {
    if (CUDNN_HOME === undefined) delete process.env.CUDNN_HOME;
    else process.env.CUDNN_HOME = CUDNN_HOME;
  }
}

function tryGpu(name: string): Gpu {
  try {
    return { name, description: tryOut(Device.get(name)).description };
  } catch (error) {
    return { name, failure: messageOf(error) };
  }
}

function tryCudnn(report: BackendReport): BackendReport {
  if (!report.available) return report;
  try {
    tryOut(Device.get('cuda'), 'cudnn');
    return report;
  } catch (error) {
    return { ...report, available: false, cause: 'failed', reason: messageOf(error) };
  }
}

/** A batch norm small enough to be known by heart. */
function tryOut(device: Device, backend: 'native' | 'cudnn' = 'native'): Device {
  const input = Tensor.from([1, 2, 3, 4], [2, 2], { device });
  const output = new BatchNorm(2, { device, backend }).forward(input).readSync();
  const right = [-1, -1, 1, 1].every((value, index) => Math.abs(output[index]! - value) < 1e-3);
  if (!right) throw new Error(`a trial batch norm gave ${[...output].join(', ')} where -1, -1, 1, 1 is right`);
  return device;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function failureOf(error: unknown): Failure {
  const message = messageOf(error);
  return error instanceof LoadError ? { message, tried: error.tried, remedy: error.remedy } : { message };
}

for (const step of process.argv.slice(2) as Step[]) {
  let answer: object;
  try {
    answer = { value: STEPS[step]() };
  } catch (error) {
    answer = { failure: failureOf(error) };
  }
  writeSync(ANSWERS, `${JSON.stringify({ step, answer })}\n`);
}
