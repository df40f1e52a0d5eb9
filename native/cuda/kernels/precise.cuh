// Moments in double, value by value: for channels whose sums in float overflowed or vanished, and for NaN and infinities, which come
// out as the plain formulas make them (an infinite value gives an infinite mean and a NaN variance).
#pragma once

#include <math.h>

#include "channel.cuh"

namespace cuda_batchnorm::cuda {

struct Add {
  template <class T>
  DEVICE T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

struct PreciseMoments {
  double mean, m2;
};

DEVICE bool needsPrecise(const PreciseMoments& moments, const TrainingResults& results) {
  if (!isfinite(moments.mean) || !isfinite(moments.m2)) return true;
  const double values = static_cast<double>(results.outer) * static_cast<double>(results.inner);
  return results.parameters.eps < 1e-20 && moments.m2 < 1e-30 * values;
}

template <class C>
DEVICE PreciseMoments inDouble(const Moments<C>& moments) {
  return {static_cast<double>(moments.mean) + static_cast<double>(moments.low), static_cast<double>(moments.m2)};
}

// The whole block takes part.
template <class S>
DEVICE PreciseMoments preciseMoments(const S* input, const TrainingResults& results, int64_t channel, SharedArray<double> scratch) {
  const int64_t values = results.outer * results.inner;
  const auto value = [&](int64_t i) {
    const int64_t row = i / results.inner;
    return static_cast<double>(
        widen(loadParameter(input + (row * results.channels + channel) * results.inner + (i - row * results.inner))));
  };
  double sum = 0;
  for (int64_t i = threadIndex(); i < values; i += blockThreads()) sum += value(i);
  const double mean = blockTotal(sum, Add(), scratch) / static_cast<double>(values);
  double m2 = 0;
  for (int64_t i = threadIndex(); i < values; i += blockThreads()) m2 += (value(i) - mean) * (value(i) - mean);
  return {mean, blockTotal(m2, Add(), scratch)};
}

}  // namespace cuda_batchnorm::cuda
