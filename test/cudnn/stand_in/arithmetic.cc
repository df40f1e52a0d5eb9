#include "arithmetic.h"

#include <cmath>
#include <cstring>

#include "../../../native/core/dtype.h"

namespace cuda_batchnorm::stand_in {
namespace {

using cudnn::DataType;
using cudnn::Format;
using cudnn::Mode;

template <class T>
T load(const char* memory, size_t index) {
  T value;
  std::memcpy(&value, memory + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(char* memory, size_t index, T value) {
  std::memcpy(memory + index * sizeof(T), &value, sizeof(T));
}

// Calls body(statistic, offset) for every element of the tensor.
template <class Body>
void forEach(const Problem& problem, const Body& body) {
  const auto& tensor = problem.tensor;
  for (int n = 0; n < tensor.n; ++n) {
    for (int c = 0; c < tensor.c; ++c) {
      for (int h = 0; h < tensor.h; ++h) {
        for (int w = 0; w < tensor.w; ++w) {
          const int64_t first = ((int64_t{n} * tensor.c + c) * tensor.h + h) * tensor.w + w;
          const int64_t last = ((int64_t{n} * tensor.h + h) * tensor.w + w) * tensor.c + c;
          const int64_t place = (int64_t{c} * tensor.h + h) * tensor.w + w;
          body(static_cast<size_t>(problem.mode == Mode::PerActivation ? place : c),
               static_cast<size_t>(tensor.format == Format::NCHW ? first : last));
        }
      }
    }
  }
}

bool bit(const unsigned char* bits, size_t index) { return (bits[index / 8] >> (index % 8) & 1) != 0; }

void setBit(unsigned char* bits, size_t index, bool value) {
  const auto mask = static_cast<unsigned char>(1u << (index % 8));
  bits[index / 8] = static_cast<unsigned char>(value ? bits[index / 8] | mask : bits[index / 8] & ~mask);
}

}  // namespace

double Values::get(size_t index) const {
  switch (type_) {
    case DataType::Float:
      return static_cast<double>(load<float>(memory_, index));
    case DataType::Double:
      return load<double>(memory_, index);
    case DataType::Half:
      return static_cast<double>(toFloat(load<Float16>(memory_, index)));
    case DataType::BFloat16:
      return static_cast<double>(toFloat(load<BFloat16>(memory_, index)));
  }
  return NAN;
}

void Values::set(size_t index, double value) const {
  switch (type_) {
    case DataType::Float:
      return store(memory_, index, static_cast<float>(value));
    case DataType::Double:
      return store(memory_, index, value);
    case DataType::Half:
      return store(memory_, index, toFloat16(static_cast<float>(value)));
    case DataType::BFloat16:
      return store(memory_, index, toBFloat16(static_cast<float>(value)));
  }
}

size_t Problem::statistics() const {
  const auto channels = static_cast<size_t>(tensor.c);
  return mode == Mode::PerActivation ? channels * static_cast<size_t>(tensor.h) * static_cast<size_t>(tensor.w) : channels;
}

void forwardTraining(const Forward& call) {
  const Problem& problem = call.problem;
  const auto count = static_cast<double>(problem.values());
  std::vector<double> mean(problem.statistics());
  std::vector<double> variance(problem.statistics());
  forEach(problem, [&](size_t s, size_t i) { mean[s] += call.x.get(i) / count; });
  forEach(problem, [&](size_t s, size_t i) { variance[s] += (call.x.get(i) - mean[s]) * (call.x.get(i) - mean[s]) / count; });

  for (size_t s = 0; s < problem.statistics(); ++s) {
    call.savedMean.set(s, mean[s]);
    call.savedInvVariance.set(s, 1 / std::sqrt(variance[s] + problem.epsilon));
    if (!call.runningMean) continue;
    const double unbiased = count > 1 ? variance[s] * count / (count - 1) : variance[s];
    const double kept = 1 - call.averageFactor;
    call.runningMean.set(s, kept * call.runningMean.get(s) + call.averageFactor * mean[s]);
    call.runningVariance.set(s, kept * call.runningVariance.get(s) + call.averageFactor * unbiased);
  }

  forEach(problem, [&](size_t s, size_t i) {
    double value = call.scale.get(s) * (call.x.get(i) - mean[s]) / std::sqrt(variance[s] + problem.epsilon) + call.bias.get(s);
    if (call.z) value += call.z.get(i);
    if (call.signs != nullptr) {
      setBit(call.signs, i, value > 0);
      value = value > 0 ? value : 0;
    }
    call.blend.set(call.y, i, value);
  });
}

void forwardInference(const Inference& call) {
  forEach(call.problem, [&](size_t s, size_t i) {
    const double deviation = std::sqrt(call.variance.get(s) + call.problem.epsilon);
    call.blend.set(call.y, i, call.scale.get(s) * (call.x.get(i) - call.mean.get(s)) / deviation + call.bias.get(s));
  });
}

void backward(const Backward& call) {
  const Problem& problem = call.problem;
  const auto count = static_cast<double>(problem.values());
  const auto gradient = [&](size_t i) { return call.signs == nullptr || bit(call.signs, i) ? call.dy.get(i) : 0; };
  const auto normalized = [&](size_t s, size_t i) { return (call.x.get(i) - call.savedMean.get(s)) * call.savedInvVariance.get(s); };

  std::vector<double> bias(problem.statistics());
  std::vector<double> scale(problem.statistics());
  forEach(problem, [&](size_t s, size_t i) {
    bias[s] += gradient(i);
    scale[s] += gradient(i) * normalized(s, i);
  });
  forEach(problem, [&](size_t s, size_t i) {
    const double through = (bias[s] + normalized(s, i) * scale[s]) / count;
    const double dz = gradient(i);  // before dx is written: it may lie where dy does
    call.data.set(call.dx, i, call.scale.get(s) * call.savedInvVariance.get(s) * (dz - through));
    if (call.dz) call.data.set(call.dz, i, dz);
  });
  for (size_t s = 0; s < problem.statistics(); ++s) {
    call.parameters.set(call.dscale, s, scale[s]);
    call.parameters.set(call.dbias, s, bias[s]);
  }
}

}  // namespace cuda_batchnorm::stand_in
