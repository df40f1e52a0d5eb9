// How a block walks over its part of a channel that is made of runs: in slots of one access each. Slots lie at aligned addresses, so a
// run that begins between two has a slot at each end that it fills in part.
#pragma once

#include "arguments.h"
#include "element.cuh"

namespace cuda_batchnorm::cuda {

// The elements [low, high) of the slot belong to the run; `offset` is the slot's first element in the tensor, which may lie before.
struct Slot {
  int64_t offset;
  int32_t low, high;
};

template <int V>
class ChunkOfRuns {
 public:
  DEVICE ChunkOfRuns(const RunsCut& cut, uint32_t channel, uint32_t chunk) {
    const uint32_t part = chunk % cut.partsPerRun;
    const int64_t row = int64_t{chunk / cut.partsPerRun} * cut.rowsPerChunk;
    const int64_t begin = int64_t{part} * cut.partLength;
    first_ = (row * cut.channels + channel) * cut.inner + begin;
    stride_ = cut.inner * cut.channels;
    length_ = static_cast<int32_t>(min64(cut.partLength, cut.inner - begin));
    rows_ = static_cast<uint32_t>(min64(cut.rowsPerChunk, cut.outer - row));
    slotsPerRow_ = cut.slotsPerPart;
  }

  DEVICE uint32_t slots() const { return rows_ * slotsPerRow_.value(); }
  DEVICE int64_t values() const { return int64_t{rows_} * length_; }
  DEVICE int64_t first() const { return first_; }

  // Empty beyond the last one.
  DEVICE Slot slot(uint32_t i) const {
    const uint32_t row = slotsPerRow_.quotient(i);
    const int64_t runStart = first_ + row * stride_;
    const auto phase = static_cast<int32_t>(runStart % V);
    const auto begin = static_cast<int32_t>((i - row * slotsPerRow_.value()) * V) - phase;
    const int32_t high = row < rows_ ? length_ - begin : 0;
    return {runStart + begin, begin < 0 ? -begin : 0, high < V ? high : V};
  }

 private:
  static DEVICE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

  int64_t first_, stride_;
  int32_t length_;
  uint32_t rows_;
  Divisor slotsPerRow_;
};

// The slot's values; 0 where they belong to others.
template <class S, int V>
DEVICE Pack<S, V> loadSlot(const S* tensor, const Slot& slot) {
  if (slot.low == 0 && slot.high == V) return loadReadOnly(reinterpret_cast<const Pack<S, V>*>(tensor + slot.offset));
  Pack<S, V> pack = {};
  UNROLL
  for (int32_t e = 0; e < V; ++e) {
    if (e >= slot.low && e < slot.high) pack.values[e] = loadReadOnly(tensor + slot.offset + e);
  }
  return pack;
}

template <class S, int V>
DEVICE void storeSlot(S* tensor, const Slot& slot, const Pack<S, V>& pack) {
  if (slot.low == 0 && slot.high == V) {
    storeGlobal(reinterpret_cast<Pack<S, V>*>(tensor + slot.offset), pack);
    return;
  }
  UNROLL
  for (int32_t e = 0; e < V; ++e) {
    if (e >= slot.low && e < slot.high) storeGlobal(tensor + slot.offset + e, pack.values[e]);
  }
}

}  // namespace cuda_batchnorm::cuda
