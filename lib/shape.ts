import { BatchNormError, expected, show } from './errors';

/** A shape of the caller's, checked and copied: it cannot change later. Throws unless its size is exact in a double. */
export function checkShape(value: unknown, name: string): readonly number[] {
  if (!Array.isArray(value)) throw expected('an array of non-negative integers', name, value);
  const shape: number[] = [];
  for (let i = 0; i < value.length; ++i) {
    const dimension: unknown = value[i];
    if (typeof dimension !== 'number' || !Number.isSafeInteger(dimension) || dimension < 0) {
      throw expected('a non-negative integer', `${name}[${i}]`, dimension);
    }
    shape.push(dimension);
  }
  return Object.freeze(shape);
}

/** Number of elements. Also with a dimension of 0 the others must multiply to an exact number, for they are multiplied natively. */
export function sizeOf(shape: readonly number[], bytesPerElement: number): number {
  let product = 1;
  let empty = false;
  for (const dimension of shape) {
    if (dimension === 0) empty = true;
    else product *= dimension;
  }
  if (product * bytesPerElement > Number.MAX_SAFE_INTEGER) {
    throw new BatchNormError('ERR_SHAPE', `Expected at most 2^53 - 1 bytes for a tensor but received shape ${show(shape)}`);
  }
  return empty ? 0 : product;
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; ++i) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}
