/** The GPU that is measured, and what its report must say of it. */

import { execFileSync } from 'node:child_process';
import { Device } from '../../lib/index';

export interface Gpu {
  description: string;
  /** Of CUDA, as the addon reports it. */
  version: string;
  /** Driver, clocks, power limit and temperature, as nvidia-smi tells them; null where it does not. */
  state: string | null;
  /** The same when all is measured: whether it throttled. */
  stateAfter: string | null;
}

const reportedVersion = (): string => Device.report().find(({ name }) => name === 'cuda')?.version ?? 'unknown';

export const isEmulated = (): boolean => /emulated/i.test(reportedVersion());

/** Throws where there is no GPU, with the reason, and where it is an emulated one. */
export function openGpu(rehearse: boolean): Device {
  const device = Device.get('cuda');
  if (isEmulated() && !rehearse) {
    throw new Error(`${device.description} is emulated, and no benchmark takes its times; --rehearse shows whether this one would run`);
  }
  return device;
}

export function stateOfGpu(): string | null {
  const query =
    '--query-gpu=name,driver_version,clocks.current.sm,clocks.current.memory,clocks.max.sm,clocks.max.memory,power.limit,temperature.gpu';
  try {
    return execFileSync('nvidia-smi', [query, '--format=csv,noheader', '--id=0'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return null;
  }
}

export const describeGpu = ({ description }: Device): Gpu => ({
  description,
  version: reportedVersion(),
  state: stateOfGpu(),
  stateAfter: null,
});
