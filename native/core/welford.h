// {count, mean, m2} of a set of values, and the merge of two disjoint sets (Chan, Golub & LeVeque 1979).
#pragma once

namespace cuda_batchnorm {

struct Moments {
  double count = 0;
  double mean = 0;
  double m2 = 0;  // sum of squared deviations from the mean
};

// Static, as the functions of dtype.h and for the same reason.
static inline Moments merge(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const double total = a.count + b.count;
  const double delta = b.mean - a.mean;
  return {total, a.mean + delta * (b.count / total), a.m2 + b.m2 + delta * delta * (a.count * b.count / total)};
}

}  // namespace cuda_batchnorm
