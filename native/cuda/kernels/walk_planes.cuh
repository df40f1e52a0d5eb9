// How a block walks over its chunk of a group of channels whose runs are short: each thread keeps its place in the row of runs, and with it
// the one or two channels of its access, and goes down the rows.
#pragma once

#include "slots.cuh"
#include "walk.cuh"

namespace cuda_batchnorm::cuda {

template <int V>
class WalkPlanes {
 public:
  using Slot = WholeSlot;
  using Cut = PlanesCut;
  static constexpr int kParts = 2;

  DEVICE WalkPlanes(const PlanesCut& cut, uint32_t group, uint32_t chunk) : cut_(cut) {
    firstChannel_ = group * cut.group;
    channels_ = static_cast<uint32_t>(lesser(cut.group, cut.channels - firstChannel_));
    const auto inner = static_cast<uint32_t>(cut.inner);
    const uint32_t x = threadIndex() % cut.threadsX;
    y_ = threadIndex() / cut.threadsX;
    active_ = y_ < cut.threadsY && x * V < channels_ * inner;
    channel_ = x * V / inner;
    split_ = static_cast<int>((channel_ + 1) * inner - x * V);
    const int64_t row = chunk * cut.rowsPerChunk;
    rows_ = static_cast<uint32_t>(lesser(cut.rowsPerChunk, cut.outer - row));
    first_ = (row * cut.channels + firstChannel_) * cut.inner;
    stride_ = cut.channels * cut.inner;
    place_ = x * V;
  }

  DEVICE uint32_t firstChannel() const { return firstChannel_; }
  DEVICE uint32_t channels() const { return channels_; }
  DEVICE uint32_t threads() const { return cut_.threadsX * cut_.threadsY; }
  DEVICE uint32_t steps() const { return (rows_ + cut_.threadsY - 1) / cut_.threadsY; }

  DEVICE Slot slot(uint32_t step) const {
    const uint32_t row = step * cut_.threadsY + y_;
    return {first_ + row * stride_ + place_, active_ && row < rows_};
  }

  DEVICE int part(int element) const { return element < split_ ? 0 : 1; }
  DEVICE uint32_t channelOf(int part) const {
    const uint32_t channel = channel_ + static_cast<uint32_t>(part);
    return channel < channels_ ? channel : channels_ - 1;
  }

  DEVICE uint32_t count(uint32_t /*channel*/) const { return rows_ * static_cast<uint32_t>(cut_.inner); }
  DEVICE int64_t offset(uint32_t channel, uint32_t i) const {
    const auto inner = static_cast<uint32_t>(cut_.inner);
    const uint32_t row = i / inner;
    return first_ + (row * cut_.channels + channel) * cut_.inner + (i - row * inner);
  }

  template <class T, class Add>
  DEVICE void deposit(const T (&parts)[kParts], Add /*add*/, SharedArray<T> scratch) const {
    UNROLL
    for (uint32_t p = 0; p < kParts; ++p) scratch.store(threadIndex() * kParts + p, parts[p]);
  }
  DEVICE uint32_t deposits() const { return cut_.threadsY * reach(); }
  // Of the threads that may have something of a channel, row by row.
  template <class T>
  DEVICE T depositOf(uint32_t channel, uint32_t i, SharedArray<T> scratch) const {
    const auto inner = static_cast<uint32_t>(cut_.inner);
    const uint32_t y = i / reach();
    const uint32_t x = channel * inner / V + (i - y * reach());
    if (x * V >= (channel + 1) * inner) return {};
    return scratch.load((y * cut_.threadsX + x) * kParts + (x * V < channel * inner ? 1 : 0));
  }

 private:
  DEVICE uint32_t reach() const { return (static_cast<uint32_t>(cut_.inner) + V - 2) / V + 1; }

  const PlanesCut& cut_;
  int64_t first_, stride_;
  uint32_t firstChannel_, channels_, channel_, rows_, y_, place_;
  int split_;
  bool active_;
};

}  // namespace cuda_batchnorm::cuda
