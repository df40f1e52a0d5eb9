// Batch normalization in double, as plainly as it can be written. Memory is the host's view of the device's.
#pragma once

#include <vector>

#include "objects.h"

namespace cuda_batchnorm::stand_in {

// Elements of some type, read and written as doubles.
class Values {
 public:
  Values() = default;
  Values(char* memory, cudnn::DataType type) : memory_(memory), type_(type) {}

  explicit operator bool() const { return memory_ != nullptr; }
  double get(size_t index) const;
  void set(size_t index, double value) const;

 private:
  char* memory_ = nullptr;
  cudnn::DataType type_ = cudnn::DataType::Float;
};

// result = alpha * computed + beta * what was there.
struct Blend {
  double alpha = 1;
  double beta = 0;
  void set(const Values& values, size_t index, double computed) const {
    values.set(index, alpha * computed + (beta == 0 ? 0 : beta * values.get(index)));
  }
};

struct Problem {
  cudnn::TensorStruct tensor;
  cudnn::Mode mode = cudnn::Mode::Spatial;
  cudnn::Ops ops = cudnn::Ops::Plain;
  double epsilon = 0;

  size_t statistics() const;  // how many means there are
  size_t values() const { return static_cast<size_t>(tensor.size()) / statistics(); }
};

struct Forward {
  Problem problem;
  Values x, z, y, scale, bias, runningMean, runningVariance, savedMean, savedInvVariance;
  unsigned char* signs = nullptr;  // a bit for each element: positive before the activation. Where operations are fused
  double averageFactor = 0;
  Blend blend;
};
void forwardTraining(const Forward& call);

struct Inference {
  Problem problem;
  Values x, y, scale, bias, mean, variance;
  Blend blend;
};
void forwardInference(const Inference& call);

struct Backward {
  Problem problem;
  Values x, dy, dz, dx, scale, dscale, dbias, savedMean, savedInvVariance;
  const unsigned char* signs = nullptr;
  Blend data;
  Blend parameters;
};
void backward(const Backward& call);

}  // namespace cuda_batchnorm::stand_in
