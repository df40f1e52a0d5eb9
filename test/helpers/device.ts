/** The device that tests run on: CUDA_BATCHNORM_TEST_DEVICE names it, and it is the CPU where that is not set. */

import { resolve } from 'node:path';
import { Device } from '../../lib/index';

/** Where it does not work the tests end here, with the reason. */
export const device = Device.get(process.env.CUDA_BATCHNORM_TEST_DEVICE || 'cpu');

/** What the device's backend says of its library. */
export const backendVersion = (): string => Device.report().find(({ name }) => name === device.type)?.version ?? '';

/** Whether the emulator plays this device: it computes the same, some thousand times slower. */
export const emulated = device.type === 'cuda' && /emulated/i.test(backendVersion());

/** cuDNN's part is then played by a stand-in that checks each call, here and in processes that tests start. */
if (emulated) process.env.CUDNN_HOME ||= resolve(__dirname, '../../out', process.env.CUDA_BATCHNORM_VARIANT ?? '', 'cudnn');

/** The size a test has where it is about size, and the one it has on an emulated device, which takes a second for some million elements. */
export function affordable<T>(full: T, reduced: T): T {
  if (!emulated) return full;
  console.log(`      reduced for the emulator: ${reduced} instead of ${full}`);
  return reduced;
}
