// Conversions between dtypes, each rounded once to nearest even.

#pragma once

#include "elementwise.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// A double brought to float so that rounding the float to a half type gives what rounding the double would have given: toward zero,
// with the last bit set when anything was lost (rounding to odd).
inline float roundToOdd(double value) {
  const float nearest = (float)value;
  if ((double)nearest == value || nearest != nearest) return nearest;
  uint32_t bits = floatBits(nearest);
  const bool tooFar = nearest - value > 0 ? value > 0 : value < 0;
  if (tooFar) --bits;  // the magnitude was rounded up; infinity becomes the largest float
  return floatFromBits(bits | 1);
}

template <class To, class From>
void convertRun(void* destination, const void* source, int64_t count) {
  const From* in = (const From*)source;
  To* out = (To*)destination;
  forEachVector<float>(count, [&](int64_t i, auto lanes) { store(out + i, load(in + i, lanes), lanes); });
}

template <>
void convertRun<float, double>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((float*)destination)[i] = (float)((const double*)source)[i];
}
template <>
void convertRun<Float16, double>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((Float16*)destination)[i] = toFloat16(roundToOdd(((const double*)source)[i]));
}
template <>
void convertRun<BFloat16, double>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((BFloat16*)destination)[i] = toBFloat16(roundToOdd(((const double*)source)[i]));
}
template <>
void convertRun<double, float>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((double*)destination)[i] = ((const float*)source)[i];
}
template <>
void convertRun<double, Float16>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((double*)destination)[i] = toFloat(((const Float16*)source)[i]);
}
template <>
void convertRun<double, BFloat16>(void* destination, const void* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ((double*)destination)[i] = toFloat(((const BFloat16*)source)[i]);
}
template <>
void convertRun<double, double>(void* destination, const void* source, int64_t count) {
  memcpy(destination, source, (size_t)count * sizeof(double));
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
