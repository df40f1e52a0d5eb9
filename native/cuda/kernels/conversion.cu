#include <algorithm>

#include "conversion.h"
#include "element.cuh"
#include "launch.h"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kThreads = 256;
constexpr int64_t kMostBlocks = 4096;  // each thread goes on in steps of the grid

template <class To>
DEVICE To roundTo(float value) {
  return narrow<To>(value);
}
template <>
DEVICE double roundTo<double>(float value) {
  return static_cast<double>(value);
}

// A double is rounded once: to float for float, and for the half types by way of a float that is rounded to odd, which leaves them
// what they need to know (Boldo & Melquiond 2008).
template <class To>
DEVICE To roundTo(double value) {
  auto nearest = static_cast<float>(value);
  const double back = static_cast<double>(nearest);
  uint32_t bits;
  memcpy(&bits, &nearest, sizeof bits);
  if (back != value && value == value && (bits & 1) == 0 && (bits & 0x7fffffffu) < 0x7f800000u) {
    // Of the two floats around the value, the one whose last bit is 1.
    const bool away = value < 0 ? back > value : back < value;
    bits += away ? 1u : 0xffffffffu;
  }
  memcpy(&nearest, &bits, sizeof bits);
  return narrow<To>(nearest);
}
template <>
DEVICE double roundTo<double>(double value) {
  return value;
}
template <>
DEVICE float roundTo<float>(double value) {
  return static_cast<float>(value);
}

struct ConvertArguments {
  void* destination;
  const void* source;
  int64_t count;
};

template <class To, class From>
KERNEL LAUNCH_BOUNDS(kThreads) convertElements(const ConvertArguments a) {
  const int64_t step = int64_t{gridBlocks()} * blockThreads();
  for (int64_t i = int64_t{blockIndex()} * blockThreads() + threadIndex(); i < a.count; i += step) {
    storeGlobal(static_cast<To*>(a.destination) + i, roundTo<To>(widen(loadReadOnly(static_cast<const From*>(a.source) + i))));
  }
}

struct FillArguments {
  void* destination;
  int64_t count;
  double value;
};

template <class To>
KERNEL LAUNCH_BOUNDS(kThreads) fillElements(const FillArguments a) {
  const int64_t step = int64_t{gridBlocks()} * blockThreads();
  const To value = roundTo<To>(a.value);
  for (int64_t i = int64_t{blockIndex()} * blockThreads() + threadIndex(); i < a.count; i += step) {
    storeGlobal(static_cast<To*>(a.destination) + i, value);
  }
}

LaunchShape shapeFor(int64_t count) {
  LaunchShape shape;
  shape.block = kThreads;
  shape.grid = static_cast<uint32_t>(std::min((count + kThreads - 1) / kThreads, kMostBlocks));
  return shape;
}

template <class Body>
void forType(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::Float32:  // NOLINT(bugprone-branch-clone): the types differ
      return body(float());
    case DType::Float64:
      return body(double());
    case DType::Float16:
      return body(Float16());
    case DType::BFloat16:
      return body(BFloat16());
  }
}

void convert(cudaStream_t stream, void* destination, DType to, const void* source, DType from, int64_t count) {
  if (count == 0) return;
  forType(to, [&](auto target) {
    forType(from, [&](auto element) {
      launch(convertElements<decltype(target), decltype(element)>, shapeFor(count), stream, ConvertArguments{destination, source, count});
    });
  });
}

void fill(cudaStream_t stream, void* destination, DType dtype, int64_t count, double value) {
  if (count == 0) return;
  forType(dtype, [&](auto target) {
    launch(fillElements<decltype(target)>, shapeFor(count), stream, FillArguments{destination, count, value});
  });
}

}  // namespace cuda_batchnorm::cuda
