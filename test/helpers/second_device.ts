import { addon } from '../../lib/addon';
import { Device } from '../../lib/index';
import { INTERNAL } from '../../lib/validate';

/** Another Device object over the CPU, to see tensors of different devices refused on machines that have only one. */
export function secondDevice(): Device {
  return Reflect.construct(Device, [INTERNAL, addon().device('cpu')]);
}
