// How a block walks over elements in the order of memory, whatever the problem's dimensions, and finds their runs and channels.
#pragma once

#include "slots.cuh"

namespace cuda_batchnorm::cuda {

template <int V, bool whole>
class ChunkInOrder {
 public:
  using Slot = typename SlotOf<whole>::Type;

  DEVICE explicit ChunkInOrder(const InOrderCut& cut) : cut_(cut), start_(int64_t{blockIndex()} * cut.elementsPerBlock) {
    const int64_t left = cut.size - start_;
    elements_ = static_cast<uint32_t>(left < cut.elementsPerBlock ? left : cut.elementsPerBlock);
    const int64_t run = start_ / cut.inner;
    channel_ = static_cast<uint32_t>(run % cut.channels);
    const int64_t rest = (run + 1) * cut.inner - start_;
    rest_ = static_cast<uint32_t>(rest < kFar ? rest : kFar);
  }

  // Runs that the block meets, and their channels.
  DEVICE uint32_t runs() const { return run(elements_ - 1) + 1; }
  DEVICE uint32_t channelOf(uint32_t run) const { return cut_.channelsDivisor.remainder(channel_ + run); }

  // The i-th access of this thread; empty where the block has no more.
  DEVICE Slot slot(uint32_t i) const {
    const uint32_t at = local(i);
    if constexpr (whole) {
      return {start_ + at, at < elements_};
    } else {
      const uint32_t left = at < elements_ ? elements_ - at : 0;
      return {start_ + at, 0, static_cast<int32_t>(left < V ? left : V)};
    }
  }
  DEVICE uint32_t runOf(uint32_t i, int e) const { return run(local(i) + static_cast<uint32_t>(e)); }

 private:
  static constexpr int64_t kFar = int64_t{1} << 30;  // more than a block has

  DEVICE uint32_t local(uint32_t i) const { return (i * blockThreads() + threadIndex()) * V; }
  // Of an element of the block.
  DEVICE uint32_t run(uint32_t at) const { return at < rest_ ? 0 : 1 + cut_.innerDivisor.quotient(at - rest_); }

  const InOrderCut& cut_;
  int64_t start_;
  uint32_t elements_;
  uint32_t channel_;  // of the block's first element
  uint32_t rest_;     // elements of its run that follow, itself included
};

}  // namespace cuda_batchnorm::cuda
