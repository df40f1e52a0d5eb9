/** Made-up machines for the doctor to look at. */

import type { BackendCause } from '../../lib/addon';
import { diagnose } from '../../lib/cli/doctor/diagnosis';
import type { Facts } from '../../lib/cli/doctor/facts';
import type { Finding } from '../../lib/cli/doctor/finding';
import type { BackendReport } from '../../lib/device';

/** A machine where everything works. */
export const HEALTHY: Facts = {
  manifest: { version: '1.2.3', engines: { node: '>=20.17' }, peerDependencies: { '@tensorflow/tfjs': '^4.0.0' } },
  node: { version: '22.1.0', platform: 'linux', arch: 'x64' },
  variant: 'release',
  environment: {},
  kernelDriver: '580.65.06',
  nvidiaCards: 1,
  addon: { value: '/package/out/release/Release/cuda_batchnorm.node' },
  cpu: { value: 'AMD EPYC, avx512, 64 threads, 512 GiB' },
  cuda: { value: { name: 'cuda', available: true, version: 'CUDA 12.8, driver for CUDA 13.0' } },
  gpus: { value: [{ name: 'cuda:0', description: 'NVIDIA H200, compute capability 9.0, 139 GiB' }] },
  auto: { value: 'cuda:0' },
  cudnn: { value: { name: 'cudnn', available: true, version: 'cuDNN 9.24.0', path: '/usr/lib/libcudnn.so.9' } },
  tensorflow: { value: '4.22.0' },
};

const NOTHING: Partial<Facts> = { kernelDriver: undefined, nvidiaCards: 0, gpus: { value: [] }, auto: { value: 'cpu' } };

/** A machine on which CUDA does not work, and that shows no sign of a GPU. */
export function withoutCuda(cause: BackendCause, more: Partial<Facts> = {}, version = 'CUDA 12.8'): Facts {
  const cuda: BackendReport = { name: 'cuda', available: false, cause, reason: reason(cause), version };
  const cudnn: BackendReport = { name: 'cudnn', available: false, cause: 'no-cuda', reason: 'cuDNN needs CUDA', version: 'cuDNN 9.24.0' };
  return { ...HEALTHY, ...NOTHING, cuda: { value: cuda }, cudnn: { value: cudnn }, ...more };
}

/** A machine on which everything but cuDNN works. */
export function withoutCudnn(cause: BackendCause, more: Partial<Facts> = {}): Facts {
  return { ...HEALTHY, cudnn: { value: { name: 'cudnn', available: false, cause, reason: reason(cause) } }, ...more };
}

/** As a report words it. */
export function reason(cause: BackendCause): string {
  return `the very reason of ${cause}`;
}

export function find(facts: Facts, subject: string): Finding {
  const found = diagnose(facts).findings.filter((finding) => finding.subject === subject);
  if (found.length !== 1) throw new Error(`${found.length} findings about ${subject}`);
  return found[0]!;
}
