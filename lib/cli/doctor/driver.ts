/** The finding about NVIDIA's driver. */

import type { BackendReport } from '../../device';
import { type Facts, hasNvidia } from './facts';
import { type Finding, notAsked, ON_CPU } from './finding';

const SUBJECT = 'NVIDIA driver';

export function driverFinding({ cause, reason, version }: BackendReport, facts: Facts): Finding {
  const { kernelDriver } = facts;
  const supports = /driver for (CUDA [\d.]+)/.exec(version ?? '')?.[1];
  const loaded = kernelDriver === undefined ? '' : `; version ${kernelDriver} is loaded in the kernel`;
  const details = { supports, kernel: kernelDriver };
  switch (cause) {
    case 'addon':
      return notAsked(SUBJECT, `${reason}${loaded}`, details);
    case 'not-built':
      return notAsked(SUBJECT, `this build does not use it${loaded}`, details);
    case 'no-driver':
      return {
        subject: SUBJECT,
        status: hasNvidia(facts) ? 'problem' : 'optional',
        found: `${reason}${loaded}`,
        consequence: ON_CPU,
        remedies: kernelDriver === undefined ? INSTALL : REACH,
        details: { ...details, cause, reason },
      };
    case 'driver-too-old':
      return {
        subject: SUBJECT,
        status: 'problem',
        found: `${reason}${loaded}`,
        consequence: ON_CPU,
        remedies: UPDATE,
        details: { ...details, cause, reason },
      };
    default:
      return { subject: SUBJECT, status: 'ok', found: `${inUse(supports, version)}${loaded}`, details };
  }
}

function inUse(supports: string | undefined, version: string | undefined): string {
  if (supports !== undefined) return `for ${supports} and older`;
  return version?.includes('emulated') ? 'played by the emulator' : 'version unknown';
}

const INSTALL = [
  'For an NVIDIA GPU: install its driver (Ubuntu: `sudo ubuntu-drivers install`, Debian: `sudo apt-get install nvidia-driver`), and restart',
];

/** The kernel has it, and programs do not find its library. */
const REACH = [
  'In a container: start it with the GPU, `docker run --gpus all`, which takes the NVIDIA Container Toolkit',
  "Elsewhere: install the driver's libraries, of the same version, so that `ldconfig -p | grep libcuda.so.1` finds one",
];

const UPDATE = [
  'Update the driver (Ubuntu: `sudo ubuntu-drivers install`, Debian: `sudo apt-get install nvidia-driver`), and restart',
  'Or build with a CUDA toolkit that this driver knows: `CUDACXX=/its/bin/nvcc npm rebuild cuda-batchnorm`',
];
