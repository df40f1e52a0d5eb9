// Count, mean and m2 (the sum of squared deviations) of a part of a channel; their merge; their sums over warps and blocks.
#pragma once

#include "element.cuh"

namespace cuda_batchnorm::cuda {

// The mean is mean + low: in float the pair holds what one float would round away. Four words of C, so that whole accesses move them.
template <class C>
struct alignas(4 * sizeof(C)) Moments {
  C count, mean, low, m2;
};

// Chan, Golub & LeVeque (1979).
template <class C>
DEVICE Moments<C> merge(const Moments<C>& a, const Moments<C>& b) {
  if (b.count == C{0}) return a;
  if (a.count == C{0}) return b;
  const C count = a.count + b.count;
  const C weight = b.count / count;
  const C delta = (b.mean - a.mean) + (b.low - a.low);
  const TwoSum<C> mean(a.mean, delta * weight);
  const TwoSum<C> exact(mean.sum, mean.rest + a.low);
  return {count, exact.sum, exact.rest, a.m2 + b.m2 + delta * delta * (a.count * weight)};
}

// Sums about a shift, which turn into moments. The nearer the shift is to the mean, the less cancels.
template <class C>
DEVICE Moments<C> momentsFromSums(C count, C shift, C sum, C squares) {
  if (count == C{0}) return {};
  const C distance = sum / count;
  const TwoSum<C> mean(shift, distance);
  return {count, mean.sum, mean.rest, squares - sum * distance};
}

// Whether so much cancelled that the sums have to be taken again about the mean they gave: where the shift is more than two deviations away
// from it, and m2 a difference of numbers five times as large. The mean of a few values hardly ever is. That matters, for one channel of
// one block that sums again keeps its team waiting.
template <class C>
DEVICE bool cancelled(C count, C sum, C squares) {
  constexpr C kMost = 4;  // square of the deviations
  const C lost = count == C{0} ? C{0} : sum * (sum / count);
  return lost > kMost * (squares - lost);
}

struct AddMoments {
  template <class C>
  DEVICE Moments<C> operator()(const Moments<C>& a, const Moments<C>& b) const {
    return merge(a, b);
  }
};

// Two sums that go together.
template <class C>
struct Pair {
  C first, second;
};

struct AddPairs {
  template <class C>
  DEVICE Pair<C> operator()(const Pair<C>& a, const Pair<C>& b) const {
    return {a.first + b.first, a.second + b.second};
  }
};

// All lanes get the warp's total, in an order that depends on nothing.
template <class T, class Add>
DEVICE T warpTotal(T value, Add add) {
  const bool odd[5] = {(laneIndex() & 1) != 0, (laneIndex() & 2) != 0, (laneIndex() & 4) != 0, (laneIndex() & 8) != 0,
                       (laneIndex() & 16) != 0};
  UNROLL
  for (int step = 0; step < 5; ++step) {
    const T other = shuffleXor(value, 1u << step);
    // Lanes of a pair add in the same order: a merge of moments is not quite symmetric.
    value = odd[step] ? add(other, value) : add(value, other);
  }
  return value;
}

}  // namespace cuda_batchnorm::cuda
