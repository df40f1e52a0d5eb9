/**
 * float16 and bfloat16 as files hold them, in 16 bits, and their values. Models have millions of them, so both ways are plain loops. Not by way
 * of a {@link Tensor}, which would wait for what is queued on its device, and take that device's memory.
 */

import { bfloat16FromBits, float16FromBits } from '../validation/number_format';

export type HalfDType = 'float16' | 'bfloat16';

const tables: Partial<Record<HalfDType, Float32Array>> = {};

function tableOf(dtype: HalfDType): Float32Array {
  const valueOfBits = dtype === 'float16' ? float16FromBits : bfloat16FromBits;
  tables[dtype] ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => valueOfBits(bits));
  return tables[dtype];
}

/** The values of 16-bit patterns; exact, for float32 holds them all. */
export function halfValues(bits: Uint16Array, dtype: HalfDType): Float32Array {
  const table = tableOf(dtype);
  const values = new Float32Array(bits.length);
  for (let i = 0; i < values.length; ++i) values[i] = table[bits[i]!]!;
  return values;
}

/** The 16-bit patterns of the numbers of the type nearest to `values`: one rounding, straight from double. */
export function halfBits(values: ArrayLike<number>, dtype: HalfDType): Uint16Array {
  const toBits = dtype === 'float16' ? float16ToBits : bfloat16ToBits;
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; ++i) {
    const value = values[i]!;
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    bits[i] = sign | toBits(Math.abs(value));
  }
  return bits;
}

const float = new Float32Array(1);
const bitsOfFloat = new Uint32Array(float.buffer);
const double = new Float64Array(1);
const halvesOfDouble = new Uint32Array(double.buffer);
const UPPER = new Uint8Array(Uint16Array.of(1).buffer)[0]; // 1 where the lower half comes first

// Adding a number whose last place is the wanted one rounds to it, ties to even; taking it away again is exact.
function roundTo(magnitude: number, fraction: number, minExponent: number): number {
  double[0] = magnitude;
  const exponent = (halvesOfDouble[UPPER!]! >>> 20) - 1023;
  halvesOfDouble[1 - UPPER!] = 0;
  halvesOfDouble[UPPER!] = (Math.max(exponent, minExponent) - fraction + 52 + 1023) << 20;
  const rounder = double[0]; // a power of two, made from its exponent, for `**` takes long
  return magnitude + rounder - rounder;
}

// The upper half of a float32, which a bfloat16 is.
function bfloat16ToBits(magnitude: number): number {
  if (Number.isNaN(magnitude)) return 0x7fc0;
  if (magnitude >= 2 ** 128) return 0x7f80;
  float[0] = roundTo(magnitude, 7, -126);
  return bitsOfFloat[0]! >>> 16;
}

function float16ToBits(magnitude: number): number {
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= 65520) return 0x7c00; // half way from the largest to the next, 2^16
  const rounded = roundTo(magnitude, 10, -14);
  if (rounded < 2 ** -14) return rounded * 2 ** 24; // subnormal, in units of the last place
  float[0] = rounded; // exact, so its fields are those of the float16, but for the bias of the exponent and 13 zero bits
  return (bitsOfFloat[0]! >>> 13) - ((127 - 15) << 10);
}
