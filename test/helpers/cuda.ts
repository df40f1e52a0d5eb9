/** Groups of tests that need CUDA, or its emulator, to run on. Elsewhere they are skipped, and their title says why. */

import { device, emulated } from './device';

type Define = (this: Mocha.Suite) => void;

function group(title: string, define: Define, works: boolean, missing: string): void {
  if (works) describe(title, define);
  else describe.skip(`${title} (skipped: ${missing})`, define);
}

/** For a GPU, real or emulated. */
export const describeCuda = (title: string, define: Define): void =>
  group(title, define, device.type === 'cuda', `the tested device is ${device.name}`);

/** For an emulated one: what is tested is seen by the emulator alone. */
export const describeEmulated = (title: string, define: Define): void =>
  group(title, define, emulated, `no emulator plays the tested device, ${device.name}`);
