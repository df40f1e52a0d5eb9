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
 * `out` [rows, columns] += `a` [rows, inner] · `b` [inner, columns]: in blocks of two rows and four columns, whose sums stay in registers,
 * and value by value where there is less than a block.
 */
export function addProduct(out: Values, a: Values, b: Values, rows: number, inner: number, columns: number): void {
  const wholeRows = rows - (rows % 2);
  const wholeColumns = columns - (columns % 4);
  for (let row = 0; row < wholeRows; row += 2) {
    for (let column = 0; column < wholeColumns; column += 4) addBlock(out, a, b, row, inner, column, columns);
    addValues(out, a, b, row, inner, wholeColumns, columns);
    addValues(out, a, b, row + 1, inner, wholeColumns, columns);
  }
  for (let row = wholeRows; row < rows; row++) addValues(out, a, b, row, inner, 0, columns);
}

function addBlock(out: Values, a: Values, b: Values, row: number, inner: number, column: number, columns: number): void {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let t0 = 0;
  let t1 = 0;
  let t2 = 0;
  let t3 = 0;
  const upper = row * inner;
  const lower = upper + inner;
  for (let k = 0, at = column; k < inner; k++, at += columns) {
    const u = a[upper + k]!;
    const l = a[lower + k]!;
    const b0 = b[at]!;
    const b1 = b[at + 1]!;
    const b2 = b[at + 2]!;
    const b3 = b[at + 3]!;
    s0 += u * b0;
    s1 += u * b1;
    s2 += u * b2;
    s3 += u * b3;
    t0 += l * b0;
    t1 += l * b1;
    t2 += l * b2;
    t3 += l * b3;
  }
  const first = row * columns + column;
  const second = first + columns;
  out[first]! += s0;
  out[first + 1]! += s1;
  out[first + 2]! += s2;
  out[first + 3]! += s3;
  out[second]! += t0;
  out[second + 1]! += t1;
  out[second + 2]! += t2;
  out[second + 3]! += t3;
}

/** One row, from a column on. */
function addValues(out: Values, a: Values, b: Values, row: number, inner: number, from: number, columns: number): void {
  for (let column = from; column < columns; column++) {
    let sum = 0;
    for (let k = 0; k < inner; k++) sum += a[row * inner + k]! * b[k * columns + column]!;
    out[row * columns + column]! += sum;
  }
}

/** `out` [columns, rows] = the transpose of `a` [rows, columns]. */
export function transpose(out: Values, a: Values, rows: number, columns: number): Values {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = a[row * columns + column]!;
  }
  return out;
}
