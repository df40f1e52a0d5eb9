/** float16 and bfloat16 as files hold them, in 16 bits, and their values. */

import { bfloat16FromBits, float16FromBits, round } from '../validation/number_format';

export type HalfDType = 'float16' | 'bfloat16';

/** The values of 16-bit patterns; exact, for float32 holds them all. */
export function halfValues(bits: Uint16Array, dtype: HalfDType): Float32Array {
  return Float32Array.from(bits, dtype === 'float16' ? float16FromBits : bfloat16FromBits);
}

/** The 16-bit patterns of the numbers of the type nearest to `values`: one rounding, straight from double. */
export function halfBits(values: ArrayLike<number>, dtype: HalfDType): Uint16Array {
  const toBits = dtype === 'float16' ? float16ToBits : bfloat16ToBits;
  return Uint16Array.from(values, (value) => {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    return sign | toBits(round(Math.abs(value), dtype));
  });
}

const float = new Float32Array(1);
const bitsOfFloat = new Uint32Array(float.buffer);

// The upper half of a float32, which a bfloat16 is.
function bfloat16ToBits(magnitude: number): number {
  if (Number.isNaN(magnitude)) return 0x7fc0;
  float[0] = magnitude;
  return bitsOfFloat[0]! >>> 16;
}

function float16ToBits(magnitude: number): number {
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude === Number.POSITIVE_INFINITY) return 0x7c00;
  if (magnitude < 2 ** -14) return magnitude * 2 ** 24; // subnormal, in units of the last place
  float[0] = magnitude; // exact, so its fields are those of the float16, but for the bias of the exponent and 13 zero bits
  return (bitsOfFloat[0]! >>> 13) - ((127 - 15) << 10);
}
