/** Constants that are measured by themselves: what a copy reaches of the memory's speed, and how soon one kernel follows another. */

import { DTYPE_CODES, type NativeBackend } from '../../../lib/addon';
import { nativeDevice, streamOf } from '../../../lib/device';
import { type Device, type Stream, Tensor } from '../../../lib/index';
import { median } from '../../cpu/statistics';
import type { Clock } from '../clock';
import { openCopies } from '../copies';
import { type GpuProblem, tensorBytes } from '../problem';
import { explain } from './candidates';
import { asChoice, CONSTANTS, type Constants, isPlausible } from './constants';

export interface Direct {
  /** Of the memory, as the driver tells it. */
  peakBytesPerSecond: number;
  /** Read and written by a copy. */
  copyBytesPerSecond: number;
  /** From one of many tiny kernels to the next. */
  launchSeconds: number;
}

export interface Sizes {
  rounds: number;
  /** That the copy moves: many times what the L2 cache holds. */
  copyBytes: number;
  tinyCalls: number;
}

export async function measureDirect(device: Device, stream: Stream, clock: Pick<Clock, 'cold' | 'warm'>, sizes: Sizes): Promise<Direct> {
  const copies = openCopies(sizes.copyBytes, device, stream);
  const copy = copies.of(sizes.copyBytes);
  const value = Tensor.full([1], 0, { device, stream });
  const buffer = nativeDevice(device).wrap(value.pointer, value.byteLength);
  const tiny = () => streamOf(device, stream).fill(buffer, DTYPE_CODES.float32, 1, 0);
  const [copySeconds, tinySeconds]: [number[], number[]] = [[], []];
  for (let round = 0; round < sizes.rounds; ++round) {
    copySeconds.push(await clock.cold(copy));
    tinySeconds.push(await clock.warm(tiny, sizes.tinyCalls));
  }
  value.dispose();
  copies.release();
  return {
    peakBytesPerSecond: peakOf(nativeDevice(device).native),
    copyBytesPerSecond: sizes.copyBytes / median(copySeconds),
    launchSeconds: median(tinySeconds),
  };
}

/** The plan knows the peak: it is what remains of a prediction where nothing but bytes takes time. */
export function peakOf(native: NativeBackend): number {
  const none = Object.fromEntries(CONSTANTS.map((name) => [name, 0])) as Constants;
  const constants = asChoice({ ...none, bandwidth: 1, processorBandwidth: 1e5, cacheBandwidth: 1 });
  const problem: GpuProblem = { network: '', shape: [1, 4096, 4096], layout: 'channels first', dtype: 'float32' };
  const { seconds } = explain(native, problem, 'trainingForward', `team=block,${constants}`);
  native.force('');
  return (2 * tensorBytes(problem)) / seconds;
}

/** What was measured implausibly is left to the fit. A driver that does not tell the memory's speed would make it so. */
export function directConstants({ peakBytesPerSecond, copyBytesPerSecond, launchSeconds }: Direct): Partial<Constants> {
  const bandwidth = copyBytesPerSecond / peakBytesPerSecond;
  return {
    ...(isPlausible('bandwidth', bandwidth) && { bandwidth }),
    ...(isPlausible('launch', launchSeconds) && { launch: launchSeconds }),
  };
}
