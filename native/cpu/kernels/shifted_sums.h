// Mean and variance from one pass over the data: sums of x - center and of its square, about a center taken from a sample.
//
// The sums lose accuracy only when the center is far from the mean compared with the deviation. That is checked afterwards, and where
// it happened the pass is done again about the mean that the first one found.

#pragma once

#include "kernels.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

struct ShiftedSums {
  double sum = 0;
  double squares = 0;
};

// About so many of a channel's first values give the center.
constexpr int64_t kSampleValues = 48;

// The square of how many deviations the center may be off: the variance is then a difference of numbers at most three times as large.
constexpr double kTolerance = 2;

inline Moments momentsOf(const ShiftedSums& sums, double center, double count) {
  const double offset = sums.sum / count;
  return {count, center + offset, sums.squares - sums.sum * offset};
}

// False for NaN and infinities too: a second pass does not help them, but does no harm.
inline bool isAccurate(const ShiftedSums& sums, const Moments& moments) {
  return sums.sum * sums.sum <= kTolerance * moments.m2 * moments.count;
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
