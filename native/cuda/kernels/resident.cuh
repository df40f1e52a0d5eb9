// The block's shared memory while a channel is resident: room for totals, for what one thread tells the others, and the slots.
#pragma once

#include "resident.h"
#include "runs.cuh"

namespace cuda_batchnorm::cuda {

template <class C>
DEVICE SharedArray<Pair<C>> pairScratch() {
  return dynamicShared<Pair<C>>(0);
}
DEVICE SharedArray<double> doubleScratch() { return dynamicShared<double>(256); }

// One thread's value, to all of the block.
template <class T>
DEVICE T broadcast(const T& value) {
  static_assert(sizeof(T) <= kResidentScratchBytes - 512, "it has its own place");
  const auto place = dynamicShared<T>(512);
  if (threadIndex() == 0) place.store(0, value);
  syncBlock();
  return place.load(0);
}

template <class S, int V>
DEVICE SharedArray<Pack<S, V>> residentSlots(uint32_t tensor, uint32_t slots) {
  return dynamicShared<Pack<S, V>>(kResidentScratchBytes + tensor * slots * kAccessBytes);
}

// Brings the channel's slots into shared memory. Each thread reads there only what it brought, until the next barrier.
template <class S, int V>
DEVICE void bring(const S* tensor, const ChunkOfRuns<V>& channel, SharedArray<Pack<S, V>> to) {
  constexpr uint32_t kBatch = 4;  // accesses in flight
  const uint32_t threads = blockThreads();
  for (uint32_t i = threadIndex(); i < channel.slots(); i += kBatch * threads) {
    Pack<S, V> packs[kBatch];
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) packs[b] = loadSlot<S, V>(tensor, channel.slot(i + b * threads));
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      if (i + b * threads < channel.slots()) to.store(i + b * threads, packs[b]);
    }
  }
}

// Calls body(index, slot) for this thread's slots.
template <int V, class Body>
DEVICE void forEachSlot(const ChunkOfRuns<V>& channel, const Body& body) {
  for (uint32_t i = threadIndex(); i < channel.slots(); i += blockThreads()) body(i, channel.slot(i));
}

}  // namespace cuda_batchnorm::cuda
