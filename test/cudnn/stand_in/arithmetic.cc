#include "arithmetic.h"

#include <cstring>

#include "../../../native/core/dtype.h"

namespace cuda_batchnorm::cudnn {
namespace {

template <class Value>
Value bitsAt(const char* values, size_t index) {
  Value value;
  std::memcpy(&value, values + index * sizeof value, sizeof value);
  return value;
}

template <class Value>
void put(char* values, size_t index, Value value) {
  std::memcpy(values + index * sizeof value, &value, sizeof value);
}

}  // namespace

double load(const char* values, DataType type, size_t index) {
  if (type == DataType::Double) return bitsAt<double>(values, index);
  if (type == DataType::Float) return bitsAt<float>(values, index);
  if (type == DataType::Half) return toFloat(bitsAt<Float16>(values, index));
  return toFloat(bitsAt<BFloat16>(values, index));
}

void store(char* values, DataType type, size_t index, double value) {
  if (type == DataType::Double) return put(values, index, value);
  if (type == DataType::Float) return put(values, index, static_cast<float>(value));
  if (type == DataType::Half) return put(values, index, toFloat16(static_cast<float>(value)));
  put(values, index, toBFloat16(static_cast<float>(value)));
}

void Blend::apply(char* values, DataType type, size_t index, double result) const {
  store(values, type, index, alpha * result + (beta == 0 ? 0 : beta * load(values, type, index)));
}

size_t Groups::of(size_t element) const {
  const auto channels = static_cast<size_t>(x.c);
  const size_t inner = static_cast<size_t>(x.h) * static_cast<size_t>(x.w);
  if (mode == Mode::PerActivation) return element % (channels * inner);
  return x.format == Format::NHWC ? element % channels : element / inner % channels;
}

Moments momentsOf(const Groups& groups, const char* x) {
  Moments moments{std::vector<double>(groups.count()), std::vector<double>(groups.count())};
  const size_t elements = groups.x.elements();
  for (size_t i = 0; i < elements; ++i) moments.mean[groups.of(i)] += load(x, groups.x.type, i) / groups.size();
  for (size_t i = 0; i < elements; ++i) {
    const double deviation = load(x, groups.x.type, i) - moments.mean[groups.of(i)];
    moments.variance[groups.of(i)] += deviation * deviation / groups.size();
  }
  return moments;
}

}  // namespace cuda_batchnorm::cudnn
