// native/cuda/kernels/primitives.cuh for the emulator: the same names, and every access checked.
#pragma once

#include <cstdint>
#include <cstring>

#include "../../native/core/dtype.h"
#include "execution.h"

#define KERNEL void
#define DEVICE inline __attribute__((always_inline))
#define LAUNCH_BOUNDS(...)
#define UNROLL

namespace cuda_batchnorm::cuda {

constexpr uint32_t kWarpBits = 5;
constexpr uint32_t kWarpThreads = 1u << kWarpBits;
constexpr uint32_t kWholeWarp = 0xffffffffu;

// ---- where a thread is ----

DEVICE uint32_t threadIndex() { return emulator::execution->thread().index; }
DEVICE uint32_t blockThreads() { return emulator::execution->shape().block; }
DEVICE uint32_t blockIndex() { return emulator::execution->thread().block->index; }
DEVICE uint32_t gridBlocks() { return emulator::execution->shape().grid; }
DEVICE uint32_t laneIndex() { return threadIndex() % kWarpThreads; }
DEVICE uint32_t warpIndex() { return threadIndex() / kWarpThreads; }

// ---- global memory ----

template <class T>
DEVICE T loadGlobal(const T* source) {
  T value;
  std::memcpy(&value, emulator::execution->load<sizeof value>(source), sizeof value);
  return value;
}
template <class T>
DEVICE T loadReadOnly(const T* source) {
  return loadGlobal(source);
}
template <class T>
DEVICE T loadParameter(const T* source) {
  T value;
  std::memcpy(&value, emulator::execution->load<sizeof value, false>(source), sizeof value);
  return value;
}
template <class T>
DEVICE T loadFresh(const T* source) {
  return loadGlobal(source);
}
template <class T>
DEVICE void storeGlobal(T* destination, const T& value) {
  std::memcpy(emulator::execution->store<sizeof value>(destination), &value, sizeof value);
}

DEVICE uint32_t arriveAt(uint32_t* counter) { return emulator::execution->arriveAt(counter); }
DEVICE void awaitArrivals(const uint32_t* counter, uint32_t arrivals) { emulator::execution->awaitArrivals(counter, arrivals); }

// ---- shared memory ----

template <class T>
class SharedArray {
 public:
  DEVICE SharedArray(uint32_t rank, uint32_t byteOffset) : rank_(rank), byteOffset_(byteOffset) {
    emulator::execution->checkShared(rank, byteOffset, alignof(T));
  }
  DEVICE T load(uint32_t i) const {
    T value;
    std::memcpy(&value, emulator::execution->loadShared(rank_, place(i), sizeof value), sizeof value);
    return value;
  }
  DEVICE void store(uint32_t i, const T& value) const {
    std::memcpy(emulator::execution->storeShared(rank_, place(i), sizeof value), &value, sizeof value);
  }

  DEVICE void beginCopy(uint32_t i, const T* source) const {
    static_assert(sizeof(T) == emulator::kCopyBytes);
    emulator::execution->beginCopy(rank_, place(i), emulator::execution->load<sizeof(T)>(source));
  }

 private:
  DEVICE uint64_t place(uint32_t i) const { return byteOffset_ + uint64_t{i} * sizeof(T); }

  uint32_t rank_;  // the owner's within the cluster
  uint32_t byteOffset_;
};

template <class T>
DEVICE SharedArray<T> dynamicShared(uint32_t byteOffset) {
  return SharedArray<T>(emulator::execution->rank(), byteOffset);
}

template <class T>
DEVICE void copyAsync(SharedArray<T> to, uint32_t i, const T* source) {
  to.beginCopy(i, source);
}
DEVICE void closeCopies() { emulator::execution->closeCopies(); }
template <int pending>
DEVICE void waitForCopies() {
  static_assert(pending >= 0);
  emulator::execution->waitForCopies(pending);
}

// ---- barriers and what warps tell each other ----

DEVICE void syncBlock() { emulator::execution->syncBlock(); }
DEVICE bool anyInBlock(bool condition) { return emulator::execution->anyInBlock(condition); }
DEVICE void syncWarp() { emulator::execution->syncWarp(); }
DEVICE uint32_t warpBallot(bool condition) { return emulator::execution->ballot(condition); }

template <class T>
DEVICE T shuffleXor(const T& value, uint32_t laneMask) {
  static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= emulator::kExchangeBytes);
  T result;
  std::memcpy(&result, &value, sizeof result);
  emulator::execution->shuffle(&result, sizeof result, laneMask);
  return result;
}

// ---- half types ----

DEVICE float float16ToFloat(uint16_t bits) { return toFloat(Float16{bits}); }
DEVICE uint16_t floatToFloat16(float value) { return toFloat16(value).bits; }
DEVICE float bfloat16ToFloat(uint16_t bits) { return toFloat(BFloat16{bits}); }
DEVICE uint16_t floatToBfloat16(float value) { return toBFloat16(value).bits; }
struct FloatPair {
  float low, high;
};
DEVICE FloatPair float16sToFloats(uint32_t bits) {
  return {float16ToFloat(static_cast<uint16_t>(bits)), float16ToFloat(static_cast<uint16_t>(bits >> 16))};
}
DEVICE FloatPair bfloat16sToFloats(uint32_t bits) {
  return {bfloat16ToFloat(static_cast<uint16_t>(bits)), bfloat16ToFloat(static_cast<uint16_t>(bits >> 16))};
}
DEVICE uint32_t floatsToFloat16s(float low, float high) { return floatToFloat16(low) | uint32_t{floatToFloat16(high)} << 16; }
DEVICE uint32_t floatsToBfloat16s(float low, float high) { return floatToBfloat16(low) | uint32_t{floatToBfloat16(high)} << 16; }

// ---- cooperative grids and clusters ----

DEVICE void syncGrid() { emulator::execution->syncGrid(); }
DEVICE uint32_t clusterBlocks() { return emulator::execution->shape().cluster; }
DEVICE uint32_t clusterRank() { return emulator::execution->rank(); }
DEVICE void syncCluster() { emulator::execution->syncCluster(); }
DEVICE void leaveCluster() { emulator::execution->leaveCluster(); }
DEVICE void awaitLeavers() { emulator::execution->awaitLeavers(); }
template <class T>
DEVICE SharedArray<T> dynamicSharedOf(uint32_t rank, uint32_t byteOffset) {
  return SharedArray<T>(rank, byteOffset);
}

}  // namespace cuda_batchnorm::cuda
