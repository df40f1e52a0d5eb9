import type { NativeStream } from './addon';
import type { Device } from './device';
import { BatchNormError } from './errors';
import type { Storage } from './storage';

/** What goes on while the work of a device is captured. */
export interface Capture {
  /** Where work goes that names no stream. */
  readonly stream: NativeStream;
  /** What each launch of the graph does to the state of layers and tensors. */
  readonly atLaunch: (() => void)[];
  /** What becomes of that state where the capture fails, and its work is never done. */
  readonly atFailure: (() => void)[];
}

const captures = new WeakMap<Device, Capture>();

/** The capture that goes on at this moment, if any. */
export function captureOf(device: Device): Capture | undefined {
  return captures.get(device);
}

/** For what has to wait for the device. */
export function refuseCapture(device: Device): void {
  if (captureOf(device) === undefined) return;
  throw new BatchNormError(
    'ERR_STATE',
    `Expected no wait while a graph is captured on ${device.name}: only work of the device can be part of a graph`,
  );
}

/** Runs `body`, which must be done when it returns, with all work of `device` going to the capture. Returns what it returns. */
export function runCaptured(device: Device, capture: Capture, body: () => unknown): unknown {
  captures.set(device, capture);
  try {
    return body();
  } finally {
    captures.delete(device);
  }
}

/** Counts a write to `storage` by work just queued on `device`; where that is captured, each launch counts again. */
export function countWrite(device: Device, storage: Storage): void {
  const count = () => {
    storage.version += 1;
  };
  count();
  captureOf(device)?.atLaunch.push(count);
}
