// A tensor's chunk, of which the first steps of each thread are kept in shared memory. A thread reads there only what it brought.
#pragma once

#include "slots.cuh"

namespace cuda_batchnorm::cuda {

// Copies are waited for in so many groups, so that the first can be summed while the last are under way.
constexpr uint32_t kGroups = 4;

DEVICE void waitForGroup(uint32_t group) {
  if (group == 0) waitForCopies<3>();
  if (group == 1) waitForCopies<2>();
  if (group == 2) waitForCopies<1>();
  if (group == 3) waitForCopies<0>();
}

// Calls body(begin, end) with the steps of a group; the last groups may be empty.
template <class Body>
DEVICE void forGroup(uint32_t steps, uint32_t group, const Body& body) {
  const uint32_t most = (steps + kGroups - 1) / kGroups;
  const uint32_t begin = group * most < steps ? group * most : steps;
  body(begin, begin + most < steps ? begin + most : steps);
}

// Calls copy(step) for all kept steps, group by group.
template <class Copy>
DEVICE void bringSteps(uint32_t steps, const Copy& copy) {
  for (uint32_t group = 0; group < kGroups; ++group) {
    forGroup(steps, group, [&](uint32_t begin, uint32_t end) {
      for (uint32_t step = begin; step < end; ++step) copy(step);
    });
    closeCopies();
  }
}

// Calls use(begin, end) with the steps of each group when they have come.
template <class Use>
DEVICE void forBroughtSteps(uint32_t steps, const Use& use) {
  for (uint32_t group = 0; group < kGroups; ++group) {
    waitForGroup(group);
    forGroup(steps, group, use);
  }
}

template <class S, int V>
class Kept {
 public:
  // The `number`-th tensor that is kept, from byte `begin` on. `threads` of the block have a place at each step.
  DEVICE Kept(const void* tensor, const TeamCut& team, uint32_t begin, uint32_t number, uint32_t threads)
      : tensor_(static_cast<const S*>(tensor)),
        packs_(dynamicShared<Pack<S, V>>(begin + number * team.keptPlaces * kPackBytes)),
        threads_(threads) {}

  template <class Slot>
  DEVICE void begin(uint32_t step, const Slot& slot) const {
    if (!slot.some()) return;
    if (kPackBytes == kAccessBytes && slot.whole(V)) {
      copy(step, slot.offset);
    } else {
      packs_.store(place(step), loadSlot<S, V>(tensor_, slot));
    }
  }
  template <class Slot>
  DEVICE Pack<S, V> load(uint32_t step, const Slot& slot) const {
    if (!slot.some()) return {};
    return packs_.load(place(step));
  }
  template <class Slot>
  DEVICE Pack<S, V> loadAgain(const Slot& slot) const {
    return loadSlot<S, V>(tensor_, slot);
  }

 private:
  static constexpr uint32_t kPackBytes = sizeof(Pack<S, V>);

  DEVICE uint32_t place(uint32_t step) const { return step * threads_ + threadIndex(); }
  DEVICE void copy(uint32_t step, int64_t offset) const {
    if constexpr (kPackBytes == kAccessBytes) copyAsync(packs_, place(step), reinterpret_cast<const Pack<S, V>*>(tensor_ + offset));
  }

  const S* tensor_;
  SharedArray<Pack<S, V>> packs_;
  uint32_t threads_;
};

}  // namespace cuda_batchnorm::cuda
