// Moments of channels that come last. The last block of a tile of columns to arrive merges its chunks, always in the same order.
#include "columns.cuh"
#include "moments.h"
#include "precise.cuh"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kBatch = 4;     // rows in flight
constexpr uint32_t kBatches = 16;  // between two merges: short sums lose little

template <class C, int V>
struct ColumnSums {
  C shift[V] = {}, sum[V] = {}, squares[V] = {};
  C rows = 0;        // that are whole
  int32_t part = 0;  // columns of one more, where the tensor ends

  DEVICE C count(int e) const { return e < part ? rows + C{1} : rows; }

  // About the mean that these sums give.
  DEVICE void beginAgain() {
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (count(e) > C{0}) shift[e] += sum[e] / count(e);
      sum[e] = squares[e] = C{0};
    }
    rows = C{0};
    part = 0;
  }

  DEVICE bool cancelledAnywhere() const {
    bool any = false;
    UNROLL
    for (int e = 0; e < V; ++e) any = any || cancelled(count(e), sum[e], squares[e]);
    return any;
  }
};

// The middle of three rows' values, so that a single outlier is never the shift.
template <class S, int V>
DEVICE Compute<S> shiftFrom(const Pack<S, V> (&packs)[kBatch], const Slot (&slots)[kBatch], int e) {
  const Compute<S> first = widen(packs[0].values[e]);
  const Compute<S> second = e < slots[1].high ? widen(packs[1].values[e]) : first;
  return middle(first, second, e < slots[2].high ? widen(packs[2].values[e]) : first);
}

// Sums of the thread's rows from `begin` to `end`; about the middle of three of them unless `again`, about sums.shift.
template <class S, int V>
DEVICE void sumRows(const S* input, const ChunkOfColumns<V>& chunk, uint32_t step, uint32_t begin, uint32_t end, bool again,
                    ColumnSums<Compute<S>, V>& sums) {
  for (uint32_t row = begin; row < end; row += kBatch * step) {
    Slot slots[kBatch];
    Pack<S, V> packs[kBatch];
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      slots[b] = chunk.slot(row + b * step);
      packs[b] = loadSlot<S, V>(input, slots[b]);
    }
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      if (slots[b].high == V) {
        sums.rows += Compute<S>{1};
      } else if (slots[b].high > 0) {
        sums.part = slots[b].high;
      }
    }
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (!again && row == begin) sums.shift[e] = shiftFrom<S, V>(packs, slots, e);
      UNROLL
      for (uint32_t b = 0; b < kBatch; ++b) {
        if (e >= slots[b].high) continue;
        const Compute<S> d = widen(packs[b].values[e]) - sums.shift[e];
        sums.sum[e] += d;
        sums.squares[e] = multiplyAdd(d, d, sums.squares[e]);
      }
    }
  }
}

// Leaves the moments of the thread's columns at its place in `values`, which keeps them in the meantime too: registers are scarce.
template <class S, int V>
DEVICE void momentsOfThread(const S* input, const ColumnsCut& cut, const ChunkOfColumns<V>& chunk,
                            SharedArray<Moments<Compute<S>>> values) {
  using C = Compute<S>;
  const uint32_t place = chunk.place();
  UNROLL
  for (uint32_t e = 0; e < V; ++e) values.store(place + e, {});
  const uint32_t stretch = kBatch * kBatches * cut.threadsY;
  for (uint32_t begin = chunk.y(); begin < chunk.rows(); begin += stretch) {
    const uint32_t end = begin + stretch < chunk.rows() ? begin + stretch : chunk.rows();
    ColumnSums<C, V> sums;
    sumRows<S, V>(input, chunk, cut.threadsY, begin, end, false, sums);
    if (sums.cancelledAnywhere()) {
      sums.beginAgain();
      sumRows<S, V>(input, chunk, cut.threadsY, begin, end, true, sums);
    }
    UNROLL
    for (int e = 0; e < V; ++e) {
      const Moments<C> moments = momentsFromSums(sums.count(e), sums.shift[e], sums.sum[e], sums.squares[e]);
      const uint32_t at = place + static_cast<uint32_t>(e);
      values.store(at, merge(values.load(at), moments));
    }
  }
}

// Channels whose moments in C are of no use, one after the other; the whole block takes part. `values` is not read again for them.
template <class S, int V>
DEVICE void finishPrecisely(const MomentsArguments<ColumnsCut>& a, const ChunkOfColumns<V>& chunk, SharedArray<Moments<Compute<S>>> values,
                            SharedArray<double> scratch) {
  for (uint32_t c = 0; c < chunk.channels(); ++c) {
    if (!needsPrecise(inDouble(values.load(c)), a.results)) continue;
    const uint32_t channel = chunk.firstChannel() + c;
    const PreciseMoments moments = preciseMoments(static_cast<const S*>(a.input), a.results, channel, scratch);
    if (threadIndex() > 0) continue;
    writeAffine(a.results.coefficients, channel, finishTraining<Compute<S>>(a.results, channel, moments.mean, moments.m2));
  }
}

template <class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) momentsOfColumns(const MomentsArguments<ColumnsCut> a) {
  using C = Compute<S>;
  const auto scratch = dynamicShared<double>(0);
  const auto values = dynamicShared<Moments<C>>(kPreciseScratchBytes);
  const ChunkOfColumns<V> chunk(a.cut);

  if (chunk.active()) momentsOfThread<S, V>(static_cast<const S*>(a.input), a.cut, chunk, values);
  addColumns<V>(a.cut, chunk, values, AddMoments());
  if (!mergeChunksOfColumns<V>(a.cut, a.merge, chunk, values, AddMoments())) return;

  bool imprecise = false;
  for (uint32_t c = threadIndex(); c < chunk.channels(); c += blockThreads()) {
    const PreciseMoments moments = inDouble(values.load(c));
    const uint32_t channel = chunk.firstChannel() + c;
    if (needsPrecise(moments, a.results)) {
      imprecise = true;
    } else {
      writeAffine(a.results.coefficients, channel, finishTraining<C>(a.results, channel, moments.mean, moments.m2));
    }
  }
  if (anyInBlock(imprecise)) finishPrecisely<S, V>(a, chunk, values, scratch);
}

void launchMoments(const KernelChoice& choice, cudaStream_t stream, const MomentsArguments<ColumnsCut>& arguments) {
  forElement(choice, [&](auto element, auto width) {
    launch(momentsOfColumns<decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
