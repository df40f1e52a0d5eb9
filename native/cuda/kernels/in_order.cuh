// How a block walks over elements in the order of memory, whatever the problem's dimensions, and finds their channels.
#pragma once

#include "slots.cuh"

namespace cuda_batchnorm::cuda {

template <int V>
class ChunkInOrder {
 public:
  DEVICE explicit ChunkInOrder(const InOrderCut& cut) : cut_(cut), start_(int64_t{blockIndex()} * cut.elementsPerBlock) {
    const int64_t run = start_ / cut.inner;
    channel_ = static_cast<uint32_t>(run % cut.channels);
    const int64_t rest = (run + 1) * cut.inner - start_;
    rest_ = static_cast<uint32_t>(rest < kFar ? rest : kFar);
  }

  // The i-th access of this thread; empty where the tensor has ended.
  DEVICE Slot slot(uint32_t i) const {
    const int64_t offset = start_ + local(i);
    const int64_t left = cut_.size - offset;
    return {offset, 0, static_cast<int32_t>(left < 0 ? 0 : (left < V ? left : V))};
  }

  // The channel of the access's first element, and whether it is that of all.
  struct Channels {
    uint32_t first;
    bool same;
  };
  DEVICE Channels channels(uint32_t i) const {
    const uint32_t at = local(i);
    if (at < rest_) return {channel_, at + V <= rest_};
    const uint32_t beyond = at - rest_;
    return {channelBeyond(beyond), cut_.innerDivisor.remainder(beyond) + V <= cut_.innerDivisor.value()};
  }
  DEVICE uint32_t channel(uint32_t i, int e) const {
    const uint32_t at = local(i) + static_cast<uint32_t>(e);
    return at < rest_ ? channel_ : channelBeyond(at - rest_);
  }

 private:
  static constexpr int64_t kFar = int64_t{1} << 30;  // more than a block has

  DEVICE uint32_t local(uint32_t i) const { return (i * blockThreads() + threadIndex()) * V; }
  DEVICE uint32_t channelBeyond(uint32_t beyond) const {
    return cut_.channelsDivisor.remainder(channel_ + 1 + cut_.innerDivisor.quotient(beyond));
  }

  const InOrderCut& cut_;
  int64_t start_;
  uint32_t channel_;  // of the block's first element
  uint32_t rest_;     // elements of its run that follow, itself included
};

}  // namespace cuda_batchnorm::cuda
