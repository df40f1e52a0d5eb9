// How a block walks over its chunk of a channel that is made of long runs: in slots, row by row, its threads side by side.
#pragma once

#include "slots.cuh"
#include "walk.cuh"

namespace cuda_batchnorm::cuda {

template <int V, bool whole>
class WalkRuns {
 public:
  using Slot = typename SlotOf<whole>::Type;
  using Cut = RunsCut;
  static constexpr int kParts = 1;

  DEVICE WalkRuns(const RunsCut& cut, uint32_t channel, uint32_t chunk) : channel_(channel) {
    const uint32_t part = chunk % cut.partsPerRun;
    const int64_t row = int64_t{chunk / cut.partsPerRun} * cut.rowsPerChunk;
    const int64_t begin = int64_t{part} * cut.partLength;
    first_ = (row * cut.channels + channel) * cut.inner + begin;
    stride_ = cut.inner * cut.channels;
    length_ = static_cast<int32_t>(lesser(cut.partLength, cut.inner - begin));
    rows_ = static_cast<uint32_t>(lesser(cut.rowsPerChunk, cut.outer - row));
    slotsPerRow_ = cut.slotsPerPart;
  }

  DEVICE uint32_t firstChannel() const { return channel_; }
  DEVICE uint32_t channels() const { return 1; }
  DEVICE uint32_t threads() const { return blockThreads(); }
  DEVICE uint32_t steps() const { return (rows_ * slotsPerRow_.value() + blockThreads() - 1) / blockThreads(); }

  // Empty beyond the last one.
  DEVICE Slot slot(uint32_t step) const {
    const uint32_t i = step * blockThreads() + threadIndex();
    const uint32_t row = slotsPerRow_.quotient(i);
    const uint32_t column = i - row * slotsPerRow_.value();
    const int64_t runStart = first_ + row * stride_;
    if constexpr (whole) {
      return {runStart + column * V, row < rows_ && static_cast<int32_t>(column * V) < length_};
    } else {
      return partialSlot(row, runStart, column);
    }
  }

  DEVICE int part(int /*element*/) const { return 0; }
  DEVICE uint32_t channelOf(int /*part*/) const { return 0; }

  // Of the chunk's values of a channel.
  DEVICE uint32_t count(uint32_t /*channel*/) const { return rows_ * static_cast<uint32_t>(length_); }
  DEVICE int64_t offset(uint32_t /*channel*/, uint32_t i) const {
    const uint32_t row = i / static_cast<uint32_t>(length_);
    return first_ + row * stride_ + (i - row * static_cast<uint32_t>(length_));
  }

  // Each warp leaves its total.
  template <class T, class Add>
  DEVICE void deposit(const T (&parts)[kParts], Add add, SharedArray<T> scratch) const {
    const T total = warpTotal(parts[0], add);
    if (laneIndex() == 0) scratch.store(warpIndex(), total);
  }
  DEVICE uint32_t deposits() const { return blockThreads() / kWarpThreads; }
  template <class T>
  DEVICE T depositOf(uint32_t /*channel*/, uint32_t i, SharedArray<T> scratch) const {
    return scratch.load(i);
  }

 private:
  DEVICE PartialSlot partialSlot(uint32_t row, int64_t runStart, uint32_t column) const {
    const auto phase = static_cast<int32_t>(runStart % V);
    const auto begin = static_cast<int32_t>(column * V) - phase;
    const int32_t high = row < rows_ ? length_ - begin : 0;
    return {runStart + begin, begin < 0 ? -begin : 0, high < V ? high : V};
  }

  int64_t first_, stride_;
  int32_t length_;
  uint32_t rows_, channel_;
  Divisor slotsPerRow_;
};

}  // namespace cuda_batchnorm::cuda
