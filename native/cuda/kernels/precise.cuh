// Which channels are measured again in double, value by value: those whose sums in float overflowed or vanished, and those with NaN and
// infinities, which come out as the plain formulas make them (an infinite value gives an infinite mean and a NaN variance).
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

DEVICE bool needsPrecise(const PreciseMoments& moments, const TrainingResults& results) {
  if (!isfinite(moments.mean) || !isfinite(moments.m2)) return true;
  return results.parameters.eps < 1e-20 && moments.m2 < 1e-30 * results.valuesPerChannel;
}

template <class C>
DEVICE PreciseMoments inDouble(const Moments<C>& moments) {
  return {static_cast<double>(moments.mean) + static_cast<double>(moments.low), static_cast<double>(moments.m2)};
}

}  // namespace cuda_batchnorm::cuda
