/** Root hooks: what a kernel did wrong is told beside the test that ran it, ends the run with an error, and spoils no other test. */

import { device, emulated } from './device';
import { emulator } from './emulator';

const faults: string[] = [];

async function lookForFault(this: Mocha.Context): Promise<void> {
  if (!emulated) return;
  await device.synchronize().catch(() => {}); // what is queued may still go wrong
  const fault = emulator.lastFault();
  if (fault === '') return;
  faults.push(`${this.currentTest!.fullTitle()}: ${fault}`);
  emulator.reset();
}

/** Here, for a hook that fails after a test keeps all later tests from running. */
function tellFaults(): void {
  if (faults.length > 0) throw new Error(`the emulator found\n${faults.join('\n')}`);
}

export const mochaHooks = { afterEach: lookForFault, afterAll: tellFaults };
