/**
 * Groups of tests that need cuDNN: on a GPU the one that is found, on an emulated GPU a stand-in that checks each call. Elsewhere they are
 * skipped, and their title says why.
 */

import { Device } from '../../lib/index';
import { device } from './device';

const report = Device.report().find(({ name }) => name === 'cudnn')!;

export function describeCudnn(title: string, define: (this: Mocha.Suite) => void): void {
  if (report.available && device.type === 'cuda') describe(title, define);
  else describe.skip(`${title} (skipped: ${report.reason ?? `the tested device is ${device.name}`})`, define);
}
