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
template <class S, int V>
struct alignas(sizeof(S) * V) Pack {
  S values[V];
};

template <class S>
constexpr int kVector = kAccessBytes / sizeof(S);

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
