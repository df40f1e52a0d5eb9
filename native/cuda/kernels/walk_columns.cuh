// How a block walks over its chunk of a tile of columns, where channels come last: each thread keeps V columns and goes down the rows.
#pragma once

#include "slots.cuh"
#include "walk.cuh"

namespace cuda_batchnorm::cuda {

template <int V>
class WalkColumns {
 public:
  using Slot = WholeSlot;
  using Cut = ColumnsCut;
  static constexpr int kParts = V;

  DEVICE WalkColumns(const ColumnsCut& cut, uint32_t tile, uint32_t chunk) : cut_(cut) {
    x_ = threadIndex() % cut.threadsX;
    y_ = threadIndex() / cut.threadsX;
    const int64_t column = int64_t{tile} * tileColumns() + x_ * V;
    active_ = y_ < cut.threadsY && column < cut.width;
    // A tile has all columns of its channels: it is as wide as the rows where they are folded.
    firstChannel_ = tile * tileColumns();
    firstRow_ = chunk * cut.rowsPerChunk;
    rows_ = static_cast<uint32_t>(lesser(cut.rowsPerChunk, cut.rows - firstRow_));
    first_ = firstRow_ * cut.width + column;
  }

  DEVICE uint32_t firstChannel() const { return firstChannel_; }
  DEVICE uint32_t channels() const { return static_cast<uint32_t>(lesser(tileColumns(), cut_.channels - firstChannel_)); }
  DEVICE uint32_t threads() const { return cut_.threadsX * cut_.threadsY; }
  DEVICE uint32_t steps() const { return (rows_ + cut_.threadsY - 1) / cut_.threadsY; }

  DEVICE Slot slot(uint32_t step) const {
    const uint32_t row = step * cut_.threadsY + y_;
    return {first_ + int64_t{row} * cut_.width, active_ && row < rows_};
  }

  DEVICE int part(int element) const { return element; }
  DEVICE uint32_t channelOf(int part) const { return (x_ * V + static_cast<uint32_t>(part)) % channels(); }

  DEVICE uint32_t count(uint32_t /*channel*/) const { return rows_ * cut_.fold; }
  DEVICE int64_t offset(uint32_t channel, uint32_t i) const {
    return firstRow_ * cut_.width + int64_t{i} * cut_.channels + firstChannel_ + channel;
  }

  // Rows of threads that a warp has together leave one value per column; others are added up in the block, half of them to the other half,
  // until few are left.
  template <class T, class Add>
  DEVICE void deposit(const T (&parts)[kParts], Add add, SharedArray<T> scratch) const {
    if (together()) return depositTogether(parts, add, scratch);
    UNROLL
    for (uint32_t e = 0; e < kParts; ++e) {
      if (y_ < cut_.threadsY) scratch.store(place(y_) + e, parts[e]);
    }
    for (uint32_t rows = cut_.threadsY; rows > kFewRows; rows = (rows + 1) / 2) {
      const uint32_t half = (rows + 1) / 2;
      syncBlock();
      if (y_ >= rows - half) continue;
      UNROLL
      for (uint32_t e = 0; e < kParts; ++e) {
        scratch.store(place(y_) + e, add(scratch.load(place(y_) + e), scratch.load(place(y_ + half) + e)));
      }
    }
  }
  DEVICE uint32_t deposits() const {
    if (together()) return blockThreads() / kWarpThreads * cut_.fold;
    uint32_t rows = cut_.threadsY;
    while (rows > kFewRows) rows = (rows + 1) / 2;
    return rows * cut_.fold;
  }
  template <class T>
  DEVICE T depositOf(uint32_t channel, uint32_t i, SharedArray<T> scratch) const {
    const uint32_t row = i / cut_.fold;
    return scratch.load(row * tileColumns() + (i - row * cut_.fold) * cut_.channels + channel);
  }

 private:
  static constexpr uint32_t kFewRows = 4;

  DEVICE bool together() const { return kWarpThreads % cut_.threadsX == 0; }
  DEVICE uint32_t place(uint32_t row) const { return row * tileColumns() + x_ * V; }

  template <class T, class Add>
  DEVICE void depositTogether(const T (&parts)[kParts], Add add, SharedArray<T> scratch) const {
    UNROLL
    for (uint32_t e = 0; e < kParts; ++e) {
      T value = parts[e];
      for (uint32_t step = cut_.threadsX; step < kWarpThreads; step *= 2) {
        const T other = shuffleXor(value, step);
        value = (laneIndex() & step) != 0 ? add(other, value) : add(value, other);
      }
      if (laneIndex() < cut_.threadsX) scratch.store(place(warpIndex()) + e, value);
    }
  }

  DEVICE uint32_t tileColumns() const { return cut_.threadsX * V; }

  const ColumnsCut& cut_;
  int64_t firstRow_, first_;
  uint32_t x_, y_, firstChannel_, rows_;
  bool active_;  // the others only keep it company at barriers
};

}  // namespace cuda_batchnorm::cuda
