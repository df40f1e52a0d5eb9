/** The GPU that is measured, and what its report must say of it. */

import { execFileSync } from 'node:child_process';
import { Device } from '../../lib/index';

export interface Gpu {
  description: string;
  /** Of CUDA, as the addon reports it. */
  version: string;
  /** Driver, clocks and power limit, as nvidia-smi tells them; null where it does not. */
  state: string | null;
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

function stateOfDriver(): string | null {
  const query = '--query-gpu=name,driver_version,clocks.current.sm,clocks.current.memory,clocks.max.sm,clocks.max.memory,power.limit';
  try {
    return execFileSync('nvidia-smi', [query, '--format=csv,noheader', '--id=0'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return null;
  }
}

export const describeGpu = ({ description }: Device): Gpu => ({ description, version: reportedVersion(), state: stateOfDriver() });
