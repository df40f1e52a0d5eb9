// What blocks leave in memory for each other.
#pragma once

#include "element.cuh"

namespace cuda_batchnorm::cuda {

// Partial results are as many accesses as they need.
template <class T>
constexpr size_t kPartBytes = sizeof(T) < kAccessBytes ? sizeof(T) : kAccessBytes;
template <class T>
using Part = Pack<uint32_t, kPartBytes<T> / sizeof(uint32_t)>;
template <class T>
constexpr int kParts = sizeof(T) / kPartBytes<T>;

template <class T>
DEVICE void storePartial(T* destination, const T& value) {
  Part<T> parts[kParts<T>];
  memcpy(parts, &value, sizeof value);
  UNROLL
  for (int i = 0; i < kParts<T>; ++i) storeGlobal(reinterpret_cast<Part<T>*>(destination) + i, parts[i]);
}

// Of another block.
template <class T>
DEVICE T loadPartial(const T* source) {
  Part<T> parts[kParts<T>];
  UNROLL
  for (int i = 0; i < kParts<T>; ++i) parts[i] = loadFresh(reinterpret_cast<const Part<T>*>(source) + i);
  T value;
  memcpy(&value, parts, sizeof value);
  return value;
}

}  // namespace cuda_batchnorm::cuda
