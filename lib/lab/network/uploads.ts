/** Values on a device, each in a tensor that is used again for the next of the same size and place. */

import { type Device, Tensor } from '../../index';
import type { Precision, Values } from './values';

export class Uploads {
  readonly #device: Device;
  readonly #precision: Precision;
  readonly #columns: number;
  readonly #tensors = new Map<string, Tensor>();

  constructor(device: Device, precision: Precision, columns: number) {
    this.#device = device;
    this.#precision = precision;
    this.#columns = columns;
  }

  /** `[rows, columns]`. The tensor lasts until the next call with as many values for the same place. */
  write(values: Values, place = 0): Tensor {
    const key = `${values.length} ${place}`;
    let tensor = this.#tensors.get(key);
    if (tensor === undefined) {
      const options = { dtype: this.#precision, device: this.#device };
      tensor = Tensor.empty([values.length / this.#columns, this.#columns], options);
      this.#tensors.set(key, tensor);
    }
    tensor.write(values);
    return tensor;
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
  }
}
