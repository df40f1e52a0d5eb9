// Exponential, tanh and the normal distribution on vectors. Float versions are polynomials fitted for this file (Chebyshev nodes,
// errors about 1e-7 relative); double versions, which serve float64 only, call the C library lane by lane.

#pragma once

#include <math.h>

#include "simd.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

template <int N>
KERNEL_INLINE FloatVector polynomial(FloatVector x, const float (&coefficients)[N]) {
  FloatVector sum = broadcast(coefficients[N - 1]);
  for (int i = N - 2; i >= 0; --i) sum = multiplyAdd(sum, x, broadcast(coefficients[i]));
  return sum;
}

// Comparisons with NaN are false, so NaN passes through the clamps.
KERNEL_INLINE FloatVector clamp(FloatVector x, float low, float high) {
  x = select(x < low, broadcast(low), x);
  return select(x > high, broadcast(high), x);
}

KERNEL_INLINE FloatVector absolute(FloatVector x) { return (FloatVector)((Int32Vector)x & 0x7fffffff); }
KERNEL_INLINE FloatVector copySign(FloatVector magnitude, FloatVector sign) {
  return (FloatVector)(((Int32Vector)magnitude & 0x7fffffff) | ((Int32Vector)sign & (int32_t)0x80000000));
}

// 2^exponent in two factors, so that subnormal and overflowing results come out right.
KERNEL_INLINE FloatVector scaleByPowerOfTwo(FloatVector x, Int32Vector exponent) {
  const Int32Vector half = exponent >> 1;
  const FloatVector first = (FloatVector)((half + 127) << 23);
  const FloatVector second = (FloatVector)((exponent - half + 127) << 23);
  return x * first * second;
}

KERNEL_INLINE FloatVector exponential(FloatVector x) {
  static constexpr float kSeries[] = {0.5f, 0.16666576266f, 0.04166646674f, 0.00836317521f, 0.00139336439f};  // (e^r - 1 - r) / r^2
  const FloatVector clamped = clamp(x, -110.f, 90.f);
  const FloatVector magic = broadcast(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer
  const FloatVector shifted = multiplyAdd(clamped, broadcast(1.44269504f), magic);
  const FloatVector n = shifted - magic;
  // ln 2 in two parts; the first has few enough bits that n * it is exact.
  FloatVector r = multiplyAdd(n, broadcast(-0.693359375f), clamped);
  r = multiplyAdd(n, broadcast(2.12194440e-4f), r);
  const FloatVector mantissa = multiplyAdd(polynomial(r, kSeries), r * r, r) + 1.f;
  return scaleByPowerOfTwo(mantissa, (Int32Vector)shifted - 0x4b400000);
}

// e^x - 1 for x <= 0, accurate near 0.
KERNEL_INLINE FloatVector exponentialMinusOne(FloatVector x) {
  static constexpr float kSeries[] = {0.5f,           0.16666655242f, 0.04166473076f,
                                      0.00832135137f, 0.00135504419f, 0.00015324909f};  // (e^x - 1 - x) / x^2 on [-0.7, 0]
  const FloatVector near = multiplyAdd(polynomial(x, kSeries), x * x, x);
  return select(x < -0.7f, exponential(x) - 1.f, near);
}

KERNEL_INLINE FloatVector hyperbolicTangent(FloatVector x) {
  static constexpr float kSeries[] = {1.f, -0.33333244920f, 0.13330738246f, -0.05368981883f, 0.02049014344f, -0.00554759149f};
  const FloatVector magnitude = absolute(x);
  const FloatVector near = x * polynomial(x * x, kSeries);  // tanh(x) / x in x^2 on [0, 0.64]
  const FloatVector far = 1.f - 2.f / (exponential(magnitude + magnitude) + 1.f);
  return select(magnitude > 0.64f, copySign(far, x), select(x == x, near, x));
}

KERNEL_INLINE FloatVector sigmoid(FloatVector x) { return 1.f / (1.f + exponential(-x)); }

// The normal distribution function, (1 + erf(x / sqrt 2)) / 2; small values keep their relative accuracy.
KERNEL_INLINE FloatVector normalDistribution(FloatVector x) {
  static constexpr float kErf[] = {1.12837910652f, -0.37612625957f, 0.11283597350f, -0.02685432881f,
                                   0.00518931216f, -0.00080188550f, 0.00007882497f};  // erf(z) / z in z^2 on [0, 1]
  static constexpr float kErfc[] = {-1.26539194584f, 0.99719166756f, 0.40254941583f, -0.06393539160f, 0.37721705437f,
                                    -0.99342662096f, 0.71096128225f, -0.16430956125f};  // log(erfc(z) e^(z^2) / t) in t = 1 / (1 + z / 2)
  const FloatVector z = x * 0.70710678f;
  const FloatVector magnitude = clamp(absolute(z), 0.f, 13.f);
  const FloatVector squared = magnitude * magnitude;
  const FloatVector t = 1.f / multiplyAdd(broadcast(0.5f), magnitude, broadcast(1.f));
  const FloatVector tail = 0.5f * t * exponential(polynomial(t, kErfc) - squared);
  const FloatVector center = multiplyAdd(0.5f * z, polynomial(z * z, kErf), broadcast(0.5f));
  return select(magnitude > 1.f, select(z < 0.f, tail, 1.f - tail), center);
}

KERNEL_INLINE FloatVector normalDensity(FloatVector x) { return 0.39894228f * exponential(-0.5f * x * x); }

template <class Function>
KERNEL_INLINE DoubleVector byLane(DoubleVector x, Function function) {
  for (int i = 0; i < Simd<double>::kWidth; ++i) x[i] = function(x[i]);
  return x;
}

KERNEL_INLINE DoubleVector exponential(DoubleVector x) {
  return byLane(x, [](double v) { return exp(v); });
}
KERNEL_INLINE DoubleVector exponentialMinusOne(DoubleVector x) {
  return byLane(x, [](double v) { return expm1(v); });
}
KERNEL_INLINE DoubleVector hyperbolicTangent(DoubleVector x) {
  return byLane(x, [](double v) { return tanh(v); });
}
KERNEL_INLINE DoubleVector sigmoid(DoubleVector x) { return 1. / (1. + exponential(-x)); }
KERNEL_INLINE DoubleVector normalDistribution(DoubleVector x) {
  return byLane(x, [](double v) { return 0.5 * erfc(v * -0.70710678118654752); });
}
KERNEL_INLINE DoubleVector normalDensity(DoubleVector x) { return 0.39894228040143268 * exponential(-0.5 * x * x); }

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
