// Moments of channels that are made of runs. A block takes a chunk of a channel; the last block of a channel to arrive merges all of its
// chunks, always in the same order.
#include "moments.h"
#include "precise.cuh"
#include "runs.cuh"

namespace cuda_batchnorm::cuda {
constexpr uint32_t kBatch = 4;     // accesses in flight
constexpr uint32_t kBatches = 16;  // between two merges: short sums lose little

template <class C, int V>
struct ShiftedSums {
  C shift = 0, count = 0, sum[V] = {}, squares[V] = {};

  DEVICE void add(int e, C x) {
    const C d = x - shift;
    sum[e] += d;
    squares[e] = multiplyAdd(d, d, squares[e]);
  }

  DEVICE C total(const C (&lanes)[V]) const {
    C total = lanes[0];
    UNROLL
    for (int e = 1; e < V; ++e) total += lanes[e];
    return total;
  }
};

// Of three values, so that a single outlier is never the shift.
template <class S, int V>
DEVICE Compute<S> shiftFrom(const Pack<S, V> (&packs)[kBatch], const Slot (&slots)[kBatch]) {
  const auto value = [&](uint32_t b, Compute<S> otherwise) {
    return slots[b].low < slots[b].high ? firstValue(packs[b], slots[b]) : otherwise;
  };
  const Compute<S> first = value(0, 0);
  const Compute<S> second = value(1, first);
  return middle(first, second, value(2, first));
}

// Sums of the thread's slots from `begin` to `end`; about the middle of three of them where no shift is given.
template <class S, int V>
DEVICE ShiftedSums<Compute<S>, V> sumSlots(const S* input, const ChunkOfRuns<V>& chunk, uint32_t begin, uint32_t end,
                                           const Compute<S>* shift) {
  ShiftedSums<Compute<S>, V> sums;
  if (shift != nullptr) sums.shift = *shift;
  const uint32_t threads = blockThreads();
  for (uint32_t i = begin; i < end; i += kBatch * threads) {
    Slot slots[kBatch];
    Pack<S, V> packs[kBatch];
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      slots[b] = chunk.slot(i + b * threads);
      packs[b] = loadSlot<S, V>(input, slots[b]);
    }
    if (shift == nullptr && i == begin) sums.shift = shiftFrom(packs, slots);
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      UNROLL
      for (int e = 0; e < V; ++e) {
        if (e >= slots[b].low && e < slots[b].high) sums.add(e, widen(packs[b].values[e]));
      }
      const int32_t values = slots[b].high - slots[b].low;
      sums.count += static_cast<Compute<S>>(values > 0 ? values : 0);
    }
  }
  return sums;
}

template <class S, int V>
DEVICE Moments<Compute<S>> momentsOfThread(const S* input, const ChunkOfRuns<V>& chunk) {
  using C = Compute<S>;
  Moments<C> total = {};
  const uint32_t stretch = kBatch * kBatches * blockThreads();
  for (uint32_t begin = threadIndex(); begin < chunk.slots(); begin += stretch) {
    const uint32_t end = begin + stretch < chunk.slots() ? begin + stretch : chunk.slots();
    auto sums = sumSlots<S, V>(input, chunk, begin, end, nullptr);
    if (cancelled(sums.count, sums.total(sums.sum), sums.total(sums.squares))) {
      const C mean = sums.shift + sums.total(sums.sum) / sums.count;
      sums = sumSlots<S, V>(input, chunk, begin, end, &mean);
    }
    total = merge(total, momentsFromSums(sums.count, sums.shift, sums.total(sums.sum), sums.total(sums.squares)));
  }
  return total;
}

template <class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) momentsOfRuns(const MomentsArguments<RunsCut> a) {
  using C = Compute<S>;
  const auto channels = static_cast<uint32_t>(a.cut.channels);
  const uint32_t chunk = blockIndex() / channels;
  const uint32_t channel = blockIndex() - chunk * channels;
  const auto scratch = dynamicShared<Moments<C>>(0);
  const S* const input = static_cast<const S*>(a.input);

  const ChunkOfRuns<V> mine(a.cut, channel, chunk);
  Moments<C> total = blockTotal(momentsOfThread<S, V>(input, mine), AddMoments(), scratch);
  if (!mergeChunksOfRuns(a.cut, a.merge, channel, chunk, total, AddMoments(), scratch)) return;
  PreciseMoments moments = inDouble(total);
  if (needsPrecise(moments, a.results)) moments = preciseMoments(input, a.results, channel, dynamicShared<double>(0));
  if (threadIndex() == 0) writeAffine(a.results.coefficients, channel, finishTraining<C>(a.results, channel, moments.mean, moments.m2));
}

void launchMoments(const KernelChoice& choice, cudaStream_t stream, const MomentsArguments<RunsCut>& arguments) {
  forElement(choice, [&](auto element, auto width) {
    launch(momentsOfRuns<decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
