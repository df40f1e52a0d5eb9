// The canonical problem every backend solves: a dense row-major tensor seen as [outer, channels, inner].
#pragma once

#include <cstdint>

#include "activation.h"
#include "dtype.h"

namespace cuda_batchnorm {

struct Problem {
  int64_t outer = 0;                      // product of the dimensions before the channel axis
  int64_t channels = 0;                   // C
  int64_t inner = 0;                      // product of the dimensions after the channel axis
  DType dtype = DType::Float32;           // of input, output, residual and their gradients
  DType parameterDtype = DType::Float32;  // of weight, bias and all statistics: Float32, or Float64 with dtype Float64 or Float32
  Activation activation = Activation::Identity;
  double eps = 1e-5;

  int64_t valuesPerChannel() const { return outer * inner; }
  int64_t size() const { return outer * channels * inner; }
};

}  // namespace cuda_batchnorm
