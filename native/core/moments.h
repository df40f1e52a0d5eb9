// What mean and variance are made of.
#pragma once

namespace cuda_batchnorm {

struct Moments {
  double count = 0;
  double mean = 0;
  double m2 = 0;  // sum of squared deviations from the mean
};

}  // namespace cuda_batchnorm
