/** Rows of numbers in host memory, and the one product that all layers are made of. */

export type Precision = 'float32' | 'float64';
export type Values = Float32Array | Float64Array;

export function makeValues(length: number, precision: Precision): Values {
  return precision === 'float32' ? new Float32Array(length) : new Float64Array(length);
}

/** Memory that is used again: one array for each length that is asked for, so that training and testing do not take turns at making it. */
export class Memory {
  readonly #precision: Precision;
  readonly #arrays = new Map<number, Values>();

  constructor(precision: Precision) {
    this.#precision = precision;
  }

  /** An array of that length with anything in it. Whoever asks again for the same length gets the same array. */
  take(length: number): Values {
    let array = this.#arrays.get(length);
    if (array === undefined) {
      array = makeValues(length, this.#precision);
      this.#arrays.set(length, array);
    }
    return array;
  }
}

/**
 * `out` [rows, columns] += `a` [rows, inner] · `b` [inner, columns]. Rows of `b` and `out` are walked along, four rows of `b` at a time:
 * a quarter of the loads and stores of `out`.
 */
export function addProduct(out: Values, a: Values, b: Values, rows: number, inner: number, columns: number): void {
  const whole = inner - (inner % 4);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    for (let k = 0; k < whole; k += 4) {
      const at = row * inner + k;
      const a0 = a[at]!;
      const a1 = a[at + 1]!;
      const a2 = a[at + 2]!;
      const a3 = a[at + 3]!;
      const b0 = k * columns;
      const b1 = b0 + columns;
      const b2 = b1 + columns;
      const b3 = b2 + columns;
      for (let j = 0; j < columns; j++) out[start + j]! += a0 * b[b0 + j]! + a1 * b[b1 + j]! + a2 * b[b2 + j]! + a3 * b[b3 + j]!;
    }
    for (let k = whole; k < inner; k++) {
      const factor = a[row * inner + k]!;
      for (let j = 0; j < columns; j++) out[start + j]! += factor * b[k * columns + j]!;
    }
  }
}

/** `out` [columns, rows] = the transpose of `a` [rows, columns]. */
export function transpose(out: Values, a: Values, rows: number, columns: number): Values {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = a[row * columns + column]!;
  }
  return out;
}
