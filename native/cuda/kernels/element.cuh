// Elements of a tensor in memory and in arithmetic: stored as S, computed with as Compute<S>.
#pragma once

#include <math.h>

#include "../../core/dtype.h"
#include "arguments.h"
#include "primitives.cuh"

namespace cuda_batchnorm::cuda {

template <class S>
struct ComputeOf {
  using Type = float;
};
template <>
struct ComputeOf<double> {
  using Type = double;
};
template <class S>
using Compute = typename ComputeOf<S>::Type;

DEVICE float widen(float value) { return value; }
DEVICE double widen(double value) { return value; }
DEVICE float widen(Float16 value) { return float16ToFloat(value.bits); }
DEVICE float widen(BFloat16 value) { return bfloat16ToFloat(value.bits); }

template <class S>
DEVICE S narrow(Compute<S> value) {
  return value;
}
template <>
DEVICE Float16 narrow<Float16>(float value) {
  return {floatToFloat16(value)};
}
template <>
DEVICE BFloat16 narrow<BFloat16>(float value) {
  return {floatToBfloat16(value)};
}

// Values that one access moves.
template <class S, int V, bool paired = sizeof(S) == 2 && V % 2 == 0>
struct alignas(sizeof(S) * V) Pack {
  S values[V];

  DEVICE S get(int e) const { return values[e]; }
  DEVICE void set(int e, S value) { values[e] = value; }
};

// Half types by twos, the first in the low half: the compiler would take values of 16 bits apart wherever it copies them, and put them
// together again.
template <class S, int V>
struct alignas(sizeof(S) * V) Pack<S, V, true> {
  uint32_t pairs[V / 2];

  DEVICE S get(int e) const { return {static_cast<uint16_t>(pairs[e / 2] >> 16 * (e % 2))}; }
  DEVICE void set(int e, S value) {
    const int place = 16 * (e % 2);
    pairs[e / 2] = (pairs[e / 2] & ~(0xffffu << place)) | uint32_t{value.bits} << place;
  }
};

template <class S>
constexpr int kVector = kAccessBytes / sizeof(S);

DEVICE FloatPair widenPair(Float16 /*type*/, uint32_t bits) { return float16sToFloats(bits); }
DEVICE FloatPair widenPair(BFloat16 /*type*/, uint32_t bits) { return bfloat16sToFloats(bits); }
DEVICE uint32_t narrowPair(Float16 /*type*/, float low, float high) { return floatsToFloat16s(low, high); }
DEVICE uint32_t narrowPair(BFloat16 /*type*/, float low, float high) { return floatsToBfloat16s(low, high); }

// The values to compute with.
template <class S, int V>
DEVICE void widenAll(const Pack<S, V, false>& pack, Compute<S> (&values)[V]) {
  UNROLL
  for (int e = 0; e < V; ++e) values[e] = widen(pack.values[e]);
}
template <class S, int V>
DEVICE void widenAll(const Pack<S, V, true>& pack, float (&values)[V]) {
  UNROLL
  for (int i = 0; i < V / 2; ++i) {
    const FloatPair pair = widenPair(S{}, pack.pairs[i]);
    values[2 * i] = pair.low;
    values[2 * i + 1] = pair.high;
  }
}

// Each value rounded to what is stored.
template <class S, int V>
DEVICE void narrowAll(const Compute<S> (&values)[V], Pack<S, V, false>& pack) {
  UNROLL
  for (int e = 0; e < V; ++e) pack.values[e] = narrow<S>(values[e]);
}
template <class S, int V>
DEVICE void narrowAll(const float (&values)[V], Pack<S, V, true>& pack) {
  UNROLL
  for (int i = 0; i < V / 2; ++i) pack.pairs[i] = narrowPair(S{}, values[2 * i], values[2 * i + 1]);
}
template <class S, int V>
DEVICE Pack<S, V> narrowed(const Compute<S> (&values)[V]) {
  Pack<S, V> pack;
  narrowAll(values, pack);
  return pack;
}

// Sums of the compute type that do not lose what a rounding leaves over.
template <class C>
struct TwoSum {
  C sum, rest;  // a + b, and what rounding it left
  DEVICE TwoSum(C a, C b) {
    sum = a + b;
    const C part = sum - a;
    rest = (a - (sum - part)) + (b - part);
  }
};

DEVICE float multiplyAdd(float a, float b, float c) { return fmaf(a, b, c); }
DEVICE double multiplyAdd(double a, double b, double c) { return fma(a, b, c); }

}  // namespace cuda_batchnorm::cuda
