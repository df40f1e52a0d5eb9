/** What the process that asks the addon (probe.ts) is asked, and may answer. */

import type { BackendReport } from '../../device';

/** In the order in which they are asked. */
export interface Answers {
  /** The addon's file. */
  addon: string;
  /** The device's description, after a batch norm on it. */
  cpu: string;
  /** CUDA's report. */
  cuda: BackendReport;
  /** The GPUs that CUDA finds, each after a batch norm on it. */
  gpus: Gpu[];
  /** The name of device 'auto', after a batch norm on it. */
  auto: string;
  /** cuDNN's report, after a batch norm by it. */
  cudnn: BackendReport;
}

export type Step = keyof Answers;
export const STEPS: readonly Step[] = ['addon', 'cpu', 'cuda', 'gpus', 'auto', 'cudnn'];

/** One that does not work has a failure. */
export interface Gpu {
  name: string;
  description?: string;
  failure?: string;
}

export interface Failure {
  message: string;
  /** Where the addon cannot be loaded: the places, each with its reason. */
  tried?: readonly string[];
  remedy?: string;
}

export type Answer<Value> = { value: Value; failure?: undefined } | { value?: undefined; failure: Failure };
