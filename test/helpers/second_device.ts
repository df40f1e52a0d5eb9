import { addon } from '../../lib/addon';
import { Device } from '../../lib/index';
import { INTERNAL } from '../../lib/validate';

/** A device apart from the tested one, though it may be the same processor: to see tensors of different devices refused everywhere. */
export function secondDevice(): Device {
  return Reflect.construct(Device, [INTERNAL, addon().device('cpu')]);
}
