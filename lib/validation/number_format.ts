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

const LEAST = -1074; // the exponent of the smallest subnormal of float64
const POWERS = Float64Array.from({ length: 1024 - LEAST }, (_, i) => 2 ** (LEAST + i));
const powerOfTwo = (exponent: number): number => POWERS[exponent - LEAST]!;

export const largest = (dtype: DType): number => FORMATS[dtype].max;
export const smallestNormal = (dtype: DType): number => powerOfTwo(FORMATS[dtype].minExponent);
export const smallestSubnormal = (dtype: DType): number => powerOfTwo(FORMATS[dtype].minExponent - FORMATS[dtype].fraction);
/** Half the distance from 1 to the next number: the largest relative error of one rounding. */
export const unitRoundoff = (dtype: DType): number => powerOfTwo(-(FORMATS[dtype].fraction + 1));

/** A float64 and, in the order of this machine's bytes, its two words: the exponent is in the higher one. */
const inspected = new Float64Array(1);
const words = new Uint32Array(inspected.buffer);
const HIGH = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0;

/** Of the leading binary digit; of 0 and of what is subnormal in float64 one that is below all others. */
function exponentOf(value: number): number {
  inspected[0] = value;
  return ((words[HIGH]! >>> 20) & 0x7ff) - 1023;
}

/** The distance between neighbours at `value`. */
export function lastPlace(value: number, dtype: DType): number {
  const { fraction, minExponent, max } = FORMATS[dtype];
  if (Number.isNaN(value)) return value;
  return powerOfTwo(Math.max(exponentOf(Math.min(Math.abs(value), max)), minExponent) - fraction);
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

export function roundAll(values: ArrayLike<number>, dtype: DType): Float64Array {
  const rounded = new Float64Array(values.length); // filled in a loop, for from() with a function calls an iterator too
  for (let i = 0; i < values.length; i++) rounded[i] = round(values[i]!, dtype);
  return rounded;
}

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
