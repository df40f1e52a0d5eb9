import type { NativeStream } from './addon';
import type { Device } from './device';
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
