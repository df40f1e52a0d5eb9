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

export interface Emulator {
  /** Orders the threads of kernels anew. */
  setSeed(seed: number): void;
  /** Lets the nth call from now on fail, and those after it until so many have, 1 when left out; nth 0: none. */
  fail(kind: Failing, nth: number, times?: number): void;
  /** Brings a lost device back. */
  reset(): void;
  liveBytes(): number;
  pinnedBytes(): number;
  startCounting(): void;
  takeCounters(): KernelCounters[];
  /** In words; empty where there was none. */
  lastFault(): string;
}

/** For tests that are skipped without it. */
export const emulator = (addon() as unknown as { emulator: Emulator }).emulator;
