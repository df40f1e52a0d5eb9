// What one access moves. Slots lie at aligned addresses; `offset` is a slot's first element in the tensor.
#pragma once

#include "arguments.h"
#include "element.cuh"

namespace cuda_batchnorm::cuda {

// All of its elements belong to whoever has it, or none.
struct WholeSlot {
  static constexpr bool kPartial = false;
  int64_t offset = 0;
  bool there = false;

  DEVICE bool some() const { return there; }
  DEVICE bool whole(int /*elements*/) const { return there; }
  DEVICE bool has(int /*element*/) const { return there; }
};

// The elements [low, high) belong to whoever has it: a run that begins between two slots fills one at each end in part.
struct PartialSlot {
  static constexpr bool kPartial = true;
  int64_t offset = 0;
  int32_t low = 0, high = 0;

  DEVICE bool some() const { return low < high; }
  DEVICE bool whole(int elements) const { return low == 0 && high == elements; }
  DEVICE bool has(int element) const { return element >= low && element < high; }
};

template <bool whole>
struct SlotOf {
  using Type = PartialSlot;
};
template <>
struct SlotOf<true> {
  using Type = WholeSlot;
};

// The slot's values; 0 where they belong to others.
template <class S, int V, class Slot>
DEVICE Pack<S, V> loadSlot(const S* tensor, const Slot& slot) {
  if (slot.whole(V)) return loadReadOnly(reinterpret_cast<const Pack<S, V>*>(tensor + slot.offset));
  Pack<S, V> pack = {};
  if constexpr (Slot::kPartial) {
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (slot.has(e)) pack.set(e, loadReadOnly(tensor + slot.offset + e));
    }
  }
  return pack;
}

template <class S, int V, class Slot>
DEVICE void storeSlot(S* tensor, const Slot& slot, const Pack<S, V>& pack) {
  if (slot.whole(V)) {
    storeGlobal(reinterpret_cast<Pack<S, V>*>(tensor + slot.offset), pack);
    return;
  }
  if constexpr (Slot::kPartial) {
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (slot.has(e)) storeGlobal(tensor + slot.offset + e, pack.get(e));
    }
  }
}

}  // namespace cuda_batchnorm::cuda
