// How a block walks over its part of a channel that is made of runs: in slots, row by row.
#pragma once

#include "moments.cuh"
#include "partials.cuh"
#include "slots.cuh"

namespace cuda_batchnorm::cuda {

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

// Whether this is the last block of its channel to arrive; then all its threads have the total of all chunks.
template <class T, class Add>
DEVICE bool mergeChunksOfRuns(const RunsCut& cut, const Merge& merge, uint32_t channel, uint32_t chunk, T& total, Add add,
                              SharedArray<T> scratch) {
  if (cut.chunks == 1) return true;
  auto* const partials = static_cast<T*>(merge.partials) + channel;
  if (threadIndex() == 0) storePartial(partials + chunk * cut.channels, total);
  if (!lastToArrive(merge.counters + channel, cut.chunks)) return false;
  total = {};
  for (uint32_t i = threadIndex(); i < cut.chunks; i += blockThreads()) total = add(total, loadPartial(partials + i * cut.channels));
  total = blockTotal(total, add, scratch);
  return true;
}

}  // namespace cuda_batchnorm::cuda
