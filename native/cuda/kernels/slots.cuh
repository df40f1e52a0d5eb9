// What one access moves. Slots lie at aligned addresses, so a run that begins between two has a slot at each end that it fills in part.
#pragma once

#include "arguments.h"
#include "element.cuh"

namespace cuda_batchnorm::cuda {

// The elements [low, high) of the slot belong to the run; `offset` is the slot's first element in the tensor, which may lie before.
struct Slot {
  int64_t offset;
  int32_t low, high;
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

// The first of the slot's values; 0 where it has none.
template <class S, int V>
DEVICE Compute<S> firstValue(const Pack<S, V>& pack, const Slot& slot) {
  Compute<S> value = 0;
  UNROLL
  for (int e = V - 1; e >= 0; --e) {
    if (e >= slot.low && e < slot.high) value = widen(pack.values[e]);
  }
  return value;
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
