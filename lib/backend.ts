/** The libraries that compute, by name. */

import type { CudnnMode, NativeBackend } from './addon';
import { type Device, nativeDevice } from './device';
import { checkChoice } from './validate';

/**
 * `'native'`: this package's own kernels. `'cudnn'`: NVIDIA's library, where it is found, in the mode that suits an operation; with the
 * name of a mode, in that one. cuDNN computes less than the native kernels do, and refuses the rest.
 */
export type BackendName = 'native' | 'cudnn' | `cudnn:${CudnnMode}`;

/** A backend on one device. */
export interface Backend {
  readonly library: 'native' | 'cudnn';
  readonly native: NativeBackend;
}

const NAMES: readonly BackendName[] = ['native', 'cudnn', 'cudnn:spatial', 'cudnn:spatial-persistent', 'cudnn:per-activation'];

const opened = new WeakMap<Device, Map<BackendName, Backend>>();

/** The backend that an option names; the native one where it was left out. */
export function checkBackend(value: unknown, name: string, device: Device): Backend {
  const backendName = value === undefined ? 'native' : checkChoice(value, name, NAMES);
  const ofDevice = opened.get(device) ?? new Map<BackendName, Backend>();
  const backend = ofDevice.get(backendName) ?? open(backendName, device);
  opened.set(device, ofDevice.set(backendName, backend));
  return backend;
}

function open(name: BackendName, device: Device): Backend {
  if (name === 'native') return { library: 'native', native: nativeDevice(device).native };
  const mode = name.slice('cudnn:'.length) as '' | CudnnMode;
  return { library: 'cudnn', native: nativeDevice(device).cudnn(mode) };
}
