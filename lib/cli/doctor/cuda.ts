/** The findings about CUDA: in the build, its runtime, the driver, the GPUs. */

import type { BackendReport } from '../../device';
import { driverFinding } from './driver';
import { type Facts, hasNvidia } from './facts';
import { type Finding, NO_ADDON, NO_REPORT, notAsked, ON_CPU } from './finding';
import { gpuFindings } from './gpus';

const BUILD = 'CUDA build';
const RUNTIME = 'CUDA runtime';

export function cudaFindings(facts: Facts): Finding[] {
  const report = reportOf(facts);
  return [buildFinding(report, facts), runtimeFinding(report), driverFinding(report, facts), ...gpuFindings(report, facts)];
}

/** Where the process ended that asked for the report, that is CUDA's failure. */
function reportOf({ addon, cuda }: Facts): BackendReport {
  if (addon.failure !== undefined) return { name: 'cuda', available: false, cause: 'addon', reason: NO_ADDON };
  if (cuda.failure !== undefined) return { name: 'cuda', available: false, cause: 'failed', reason: cuda.failure.message };
  return cuda.value.cause === 'addon' ? { ...cuda.value, reason: NO_REPORT } : cuda.value;
}

function buildFinding({ cause, reason, version }: BackendReport, facts: Facts): Finding {
  if (cause === 'addon') return notAsked(BUILD, reason!);
  if (cause !== 'not-built') {
    const emulated = version?.includes('emulated') ?? false;
    const found = emulated ? 'the emulator that tests use: CUDA kernels run on the CPU' : 'CUDA kernels are compiled in';
    return { subject: BUILD, status: 'ok', found, details: { compiledIn: true, emulated } };
  }
  return {
    subject: BUILD,
    status: hasNvidia(facts) ? 'problem' : 'optional',
    found: reason!,
    consequence: ON_CPU,
    remedies: [
      'For an NVIDIA GPU: install CMake and the CUDA toolkit, 11.8 or newer, so that `nvcc --version` works; then, ' +
        'without CUDA_BATCHNORM_CUDA=OFF, `npm rebuild cuda-batchnorm`',
    ],
    details: { compiledIn: false, cause, reason },
  };
}

function runtimeFinding({ cause, reason, version }: BackendReport): Finding {
  if (cause === 'addon') return notAsked(RUNTIME, reason!);
  if (cause === 'not-built') return notAsked(RUNTIME, 'this build has none');
  const library = version?.split(',')[0];
  if (cause !== 'failed')
    return { subject: RUNTIME, status: 'ok', found: `${library}, linked into the addon`, details: { version: library } };
  return {
    subject: RUNTIME,
    status: 'problem',
    found: reason!,
    consequence: ON_CPU,
    remedies: [
      'Run `nvidia-smi`: where it fails too, restart the machine, which an update of the driver asks for; if that does not help, install ' +
        'the driver anew',
    ],
    details: { version: library, cause, reason },
  };
}
