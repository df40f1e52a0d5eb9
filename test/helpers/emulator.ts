/** The controls of the emulator, which its variant of the addon has beside the native surface. */

import { addon } from '../../lib/addon';

export interface KernelCounters {
  kernel: string;
  launches: number;
  /** Of global memory. */
  loadBytes: number;
  storeBytes: number;
  /** 32 bytes each, the distinct ones of each warp's access. */
  loadSectors: number;
  storeSectors: number;
}

export type Failing = 'allocation' | 'copy' | 'launch';

/** The stand-in for cuDNN in out/<variant>/cudnn; each function throws where it is not open. */
export interface CudnnStandIn {
  /** Those made and not destroyed. */
  livingHandles(): number;
  livingDescriptors(): number;
  /** How often it was used in a way that is wrong. */
  complaints(): number;
  /** Those since the last reset(): an object of JSON on each line, with `function` ("cudnnCreate") and `status`. */
  calls(): string;
  /** The next call of this function does nothing but return the status; 0 calls it off. */
  failNext(cudnnFunction: string, status: number): void;
  /** Forgets calls, complaints and what is to fail. */
  reset(): void;
}

export interface Emulator {
  /** Orders the threads of kernels anew. */
  setSeed(seed: number): void;
  /** Lets the nth call from now on fail, and those after it until so many have, 1 when left out; nth 0: none. */
  fail(kind: Failing, nth: number, times?: number): void;
  /** Brings a lost device back. */
  reset(): void;
  liveBytes(): number;
  pinnedBytes(): number;
  /** Costs time until it is stopped. */
  startCounting(): void;
  stopCounting(): void;
  /** Since it was called last. */
  takeCounters(): KernelCounters[];
  /** In words; empty where there was none. */
  lastFault(): string;
  cudnn: CudnnStandIn;
}

/** For tests that are skipped without it. */
export const emulator = (addon() as unknown as { emulator: Emulator }).emulator;
