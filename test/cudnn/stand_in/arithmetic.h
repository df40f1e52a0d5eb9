// Batch normalization in double, value by value, on the host.
#pragma once

#include <cstddef>
#include <vector>

#include "objects.h"

namespace cuda_batchnorm::cudnn {

double load(const char* values, DataType type, size_t index);
void store(char* values, DataType type, size_t index, double value);

// result * alpha + what is there * beta; where beta is 0, what is there is not read.
struct Blend {
  double alpha = 1;
  double beta = 0;

  void apply(char* values, DataType type, size_t index, double result) const;
};

// The tensor's elements in the order of memory, in groups of one parameter each.
struct Groups {
  Shape x;
  Mode mode;

  size_t count() const { return parametersOf(x, mode).elements(); }
  size_t of(size_t element) const;
  double size() const { return static_cast<double>(x.elements()) / static_cast<double>(count()); }
};

struct Moments {
  std::vector<double> mean;
  std::vector<double> variance;  // biased
};
Moments momentsOf(const Groups& groups, const char* x);

}  // namespace cuda_batchnorm::cudnn
