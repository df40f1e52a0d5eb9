/** What was measured on a GPU, and where it can be fitted to: wherever the plan predicts for a GPU like it. */

import { readFileSync } from 'node:fs';
import { UsageError } from '../../../lib/cli/usage';
import { nativeDevice } from '../../../lib/device';
import type { Device } from '../../../lib/index';
import type { Machine } from '../../cpu/machine';
import type { Gpu } from '../gpu';
import { type Direct, peakOf } from './direct';
import type { Measured } from './measure';

export interface Recording extends Readonly<Measured> {
  /** Of the measurement. */
  date: string;
  commit: string | null;
  machine: Machine;
  /** Driver, clocks and the version of CUDA. */
  state: Gpu;
  /** Samples of everything. */
  rounds: number;
  budgetSeconds: number;
  gpu: string;
  capability: readonly [major: number, minor: number];
  direct: Direct;
}

export const gpuOf = ({ description }: Device): string => description.split(',')[0]!;

/** `NVIDIA H200, compute capability 9.0, 139 GiB` */
export function capabilityOf({ description }: Device): [number, number] {
  const [, major, minor] = /compute capability (\d+)\.(\d+)/.exec(description)!;
  return [Number(major), Number(minor)];
}

/** @throws {UsageError} */
export function readRecording(file: string): Recording {
  const refuse = (reason: string) => new UsageError(`Expected a file that npm run tune:gpu wrote for --from but ${file} ${reason}`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw refuse(`cannot be read: ${(error as Error).message}`);
  }
  const recording = parse(text);
  if (!Array.isArray(recording?.points) || !recording.direct || !recording.capability) throw refuse('is none');
  if (recording.points.length === 0) throw refuse('has no points');
  return recording as Recording;
}

function parse(text: string): Partial<Recording> | null {
  try {
    return JSON.parse(text) as Partial<Recording> | null;
  } catch {
    return null;
  }
}

/** What memory clocks of the same GPU may differ by. */
const SAME_PEAK = 0.05;

/** Predictions for another GPU say nothing of the times that were measured. @throws {UsageError} */
export function checkSameGpu({ gpu, capability, direct }: Recording, device: Device): void {
  const here = gpuOf(device);
  const peak = peakOf(nativeDevice(device).native);
  const sameName = gpu.startsWith(here.replace('Emulated ', ''));
  const samePeak = Math.abs(Math.log(peak / direct.peakBytesPerSecond)) < SAME_PEAK;
  if (sameName && samePeak && capabilityOf(device).join() === capability.join()) return;
  const memory = (bytesPerSecond: number) => `${(bytesPerSecond / 1e12).toFixed(2)} TB/s`;
  throw new UsageError(
    `Expected points of ${here} (${memory(peak)}), which is here, for --from but received those of ${gpu} (${memory(direct.peakBytesPerSecond)}): ` +
      'fit there, or let CUDA_BATCHNORM_EMULATED_GPU name it for the emulated build',
  );
}
