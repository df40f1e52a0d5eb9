/** The four element types as sets of representable numbers: rounding to them, and the width of their last place. */

import type { DType } from '../dtype';

export const DTYPES: readonly DType[] = ['float32', 'float64', 'float16', 'bfloat16'];

interface Format {
  /** Binary digits after the leading one. */
  fraction: number;
  /** Exponent of the smallest normal number. */
  minExponent: number;
  max: number;
}

const FORMATS: Record<DType, Format> = {
  float64: { fraction: 52, minExponent: -1022, max: Number.MAX_VALUE },
  float32: { fraction: 23, minExponent: -126, max: (2 - 2 ** -23) * 2 ** 127 },
  float16: { fraction: 10, minExponent: -14, max: 65504 },
  bfloat16: { fraction: 7, minExponent: -126, max: (2 - 2 ** -7) * 2 ** 127 },
};

export const largest = (dtype: DType): number => FORMATS[dtype].max;
export const smallestNormal = (dtype: DType): number => 2 ** FORMATS[dtype].minExponent;
export const smallestSubnormal = (dtype: DType): number => 2 ** (FORMATS[dtype].minExponent - FORMATS[dtype].fraction);
/** Half the distance from 1 to the next number: the largest relative error of one rounding. */
export const unitRoundoff = (dtype: DType): number => 2 ** -(FORMATS[dtype].fraction + 1);

function exponentOf(magnitude: number): number {
  const guess = Math.floor(Math.log2(magnitude)); // may be off by one next to a power of two
  if (2 ** guess > magnitude) return guess - 1;
  return 2 ** (guess + 1) <= magnitude ? guess + 1 : guess;
}

/** The distance between neighbours at `value`. */
export function lastPlace(value: number, dtype: DType): number {
  const { fraction, minExponent, max } = FORMATS[dtype];
  const magnitude = Math.min(Math.abs(value), max);
  const exponent = magnitude === 0 ? minExponent : Math.max(exponentOf(magnitude), minExponent);
  return 2 ** (exponent - fraction);
}

/** The nearest number of the type, ties to even, overflow to infinity: one rounding, straight from float64. */
export function round(value: number, dtype: DType): number {
  if (dtype === 'float64' || !Number.isFinite(value)) return value;
  if (dtype === 'float32') return Math.fround(value);
  const quantum = lastPlace(value, dtype);
  const steps = value / quantum; // exact: a division by a power of two
  const below = Math.floor(steps);
  const up = steps - below > 0.5 || (steps - below === 0.5 && below % 2 !== 0);
  const rounded = (below + (up ? 1 : 0)) * quantum;
  if (Math.abs(rounded) <= FORMATS[dtype].max) return rounded;
  return Math.sign(rounded) * Number.POSITIVE_INFINITY;
}

export const roundAll = (values: ArrayLike<number>, dtype: DType): Float64Array => Float64Array.from(values, (v) => round(v, dtype));

/** The value a float16 bit pattern stands for. */
export function float16FromBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
}

/** The value a bfloat16 bit pattern stands for. */
export function bfloat16FromBits(bits: number): number {
  return new Float32Array(new Uint32Array([bits << 16]).buffer)[0]!;
}
