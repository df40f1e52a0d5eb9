// Kernels for channels that are runs of contiguous values, with one set of coefficients each. The runs of a tile are taken in the order
// of memory, those of a few rows side by side.

#pragma once

#include "row_group.h"
#include "shifted_sums.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Most vectors summed in a set of lanes before the sum goes on in double. Vectors are counted, not values, so that narrow ones do not give
// a lane more roundings. There are as many sets as rows are taken at once.
constexpr int64_t kVectorsPerBlock = 64;

// Rows taken side by side where a tile's runs lie apart: each jump from one run to the next costs the prefetchers their lead, and the
// more of them are followed at once, the more they have.
constexpr int64_t kRunsAtOnce = 4;

// One where the code for a vector is long, and its arithmetic takes the time.
constexpr int64_t runsAtOnce(GradientSource source) { return source == GradientSource::Other ? 1 : kRunsAtOnce; }
constexpr int64_t runsAtOnce(ActivationKind kind, Residual residual) {
  if (kind != ActivationKind::Identity && residual == Residual::Yes) return 1;  // GCC 12 breaks down over more masks with SSE2
  return kind == ActivationKind::Other ? 1 : kRunsAtOnce;
}

// Calls body(row group) for groups of n rows, or of one.
template <class S, int64_t n, class Body>
KERNEL_INLINE void forEachRowOfRuns(const Tile& tile, Body body) {
  const bool apart = tile.columns() < tile.stride && tile.stride * (int64_t)sizeof(S) >= kPage;
  const bool alike = tile.stride % Simd<Compute<S>>::kWidth == 0;  // vectors of all rows begin at the same columns
  int64_t row = 0;
  if constexpr (n > 1) {
    for (; apart && alike && row + n <= tile.rows; row += n) body(RowGroup<n>{tile.offset + row * tile.stride, tile.stride});
  }
  for (; row < tile.rows; ++row) body(RowGroup<1>{tile.offset + row * tile.stride, 0});
}

// Calls body(row group at the first element of its runs, channel of the tile) for each channel of each group of n rows, or of one.
template <class S, int64_t n, class Body>
KERNEL_INLINE void forEachRun(const Tile& tile, Body body) {
  forEachRowOfRuns<S, n>(tile, [&](auto rows) KERNEL_LAMBDA {
    for (int64_t c = 0; c < tile.channels; ++c) body(rows.at(c * tile.inner), c);
  });
}

template <class S>
constexpr int64_t kValuesPerBlock = kVectorsPerBlock * Simd<Compute<S>>::kWidth;

// Two sums per lane.
template <class V>
struct SumPair {
  V first = {}, second = {};
};

template <class V>
KERNEL_INLINE V addSets(V a, V b, V c, V d) {
  return (a + b) + (c + d);
}

// Adds `count` lanes' sums only.
template <class V, class Add>
KERNEL_INLINE SumPair<V> addPart(const SumPair<V>& sums, int64_t i, int64_t count, Add add) {
  const SumPair<V> next = add(sums, i, Part{count});
  const auto kept = lanesBelow(count, V{});
  return {select(kept, next.first, sums.first), select(kept, next.second, sums.second)};
}

// Adds to `sums` the sums over `count` elements of each row of the group, in four sets side by side to hide the latency of an addition.
// add(sums, element, Whole or Part) returns the sums with one vector added; lanes beyond a part are dropped here.
//
// Loads begin where an element's number is a multiple of the vector's width: one across two cache lines costs two. The numbers decide,
// not the addresses, so that the order of summation does not depend on where a tensor lies.
template <class S, class Add>
KERNEL_INLINE SumPair<VectorOf<S>> sumRun(SumPair<VectorOf<S>> sums, RowGroup<1> run, int64_t count, Add add) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  SumPair<VectorOf<S>> a = sums, b, c, d;
  const int64_t end = run.first + count;
  int64_t i = run.first;
  const int64_t aligned = (i + width - 1) / width * width;
  if (aligned > i && aligned < end) {
    d = addPart(d, i, aligned - i, add);
    i = aligned;
  }
  for (; i + 4 * width <= end; i += 4 * width) {
    a = add(a, i, Whole{});
    b = add(b, i + width, Whole{});
    c = add(c, i + 2 * width, Whole{});
    d = add(d, i + 3 * width, Whole{});
  }
  if (i + 2 * width <= end) {
    a = add(a, i, Whole{});
    b = add(b, i + width, Whole{});
    i += 2 * width;
  }
  if (i + width <= end) {
    c = add(c, i, Whole{});
    i += width;
  }
  if (i < end) b = addPart(b, i, end - i, add);
  return {addSets(a.first, b.first, c.first, d.first), addSets(a.second, b.second, c.second, d.second)};
}

// A set for each row.
template <class S, class Add>
KERNEL_INLINE SumPair<VectorOf<S>> sumRun(SumPair<VectorOf<S>> sums, RowGroup<kRunsAtOnce> runs, int64_t count, Add add) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  SumPair<VectorOf<S>> a = sums, b, c, d;
  const auto addEach = [&](int64_t i, auto addOne) KERNEL_LAMBDA {
    a = addOne(a, runs.row(0) + i);
    b = addOne(b, runs.row(1) + i);
    c = addOne(c, runs.row(2) + i);
    d = addOne(d, runs.row(3) + i);
  };
  const auto addEachPart = [&](int64_t i, int64_t lanes) KERNEL_LAMBDA {
    addEach(i, [&](const auto& before, int64_t at) KERNEL_LAMBDA { return addPart(before, at, lanes, add); });
  };
  const int64_t misaligned = runs.first % width;
  int64_t i = misaligned == 0 ? 0 : width - misaligned;
  if (i > count) i = count;
  if (i > 0) addEachPart(0, i);
  for (; i + width <= count; i += width) {
    addEach(i, [&](const auto& before, int64_t at) KERNEL_LAMBDA { return add(before, at, Whole{}); });
  }
  if (i < count) addEachPart(i, count - i);
  return {addSets(a.first, b.first, c.first, d.first), addSets(a.second, b.second, c.second, d.second)};
}

// The same in one set where the code of `add` is long and its own arithmetic takes the time: it is there twice only.
template <class S, class Add>
KERNEL_INLINE SumPair<VectorOf<S>> sumRunInOneSet(SumPair<VectorOf<S>> sums, RowGroup<1> run, int64_t count, Add add) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  const int64_t end = run.first + count;
  for (int64_t i = run.first, lanes; i < end; i += lanes) {
    lanes = width - i % width;
    if (lanes > end - i) lanes = end - i;
    sums = lanes == width ? add(sums, i, Whole{}) : addPart(sums, i, lanes, add);
  }
  return sums;
}

template <class S, int64_t n, class Rows, class Add>
KERNEL_INLINE SumPair<VectorOf<S>> sumRowGroup(SumPair<VectorOf<S>> sums, Rows rows, int64_t count, Add add) {
  if constexpr (n == 1) {
    return sumRunInOneSet<S>(sums, rows, count, add);
  } else {
    return sumRun<S>(sums, rows, count, add);
  }
}

// Channels whose sums are kept side by side: they and what is read then fit the first-level cache.
constexpr int64_t kChannelsAtOnce = 64;

// Adds each run's two sums to its channel's totals. add(sums, element, channel, Whole or Part) as in sumRun.
template <class S, int64_t n, class Add>
KERNEL_INLINE void sumLongRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  forEachRun<S, n>(tile, [&](auto runs, int64_t channel) KERNEL_LAMBDA {
    const int64_t parts = (runs.kRows * tile.inner + n * kValuesPerBlock<S> - 1) / (n * kValuesPerBlock<S>);
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = tile.inner * part / parts;
      const auto sums =
          sumRowGroup<S, n>({}, runs.at(begin), tile.inner * (part + 1) / parts - begin,
                            [&](const auto& before, int64_t i, auto lanes) KERNEL_LAMBDA { return add(before, i, channel, lanes); });
      totals.first[channel] += sumLanes(sums.first);
      totals.second[channel] += sumLanes(sums.second);
    }
  });
}

// The same for runs so short that it pays to add up the lanes of several at once.
template <class S, int64_t n, class Add>
KERNEL_INLINE void sumShortRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  const int64_t rowsPerBlock = kVectorsPerBlock / ((tile.inner + width - 1) / width) * n;
  for (int64_t begin = 0; begin < tile.channels; begin += kChannelsAtOnce) {
    const int64_t count = tile.channels - begin < kChannelsAtOnce ? tile.channels - begin : kChannelsAtOnce;
    for (int64_t row = 0; row < tile.rows; row += rowsPerBlock) {
      SumPair<VectorOf<S>> sums[kChannelsAtOnce];
      const int64_t rows = tile.rows - row < rowsPerBlock ? tile.rows - row : rowsPerBlock;
      forEachRun<S, n>({tile.offset + row * tile.stride + begin * tile.inner, tile.stride, rows, tile.inner, count},
                       [&](auto runs, int64_t c) KERNEL_LAMBDA {
                         sums[c] = sumRowGroup<S, n>(sums[c], runs, tile.inner,
                                                     [&](const auto& before, int64_t i, auto lanes)
                                                         KERNEL_LAMBDA { return add(before, i, begin + c, lanes); });
                       });
      for (int64_t c = 0; c < count; ++c) {
        totals.first[begin + c] += sumLanes(sums[c].first);
        totals.second[begin + c] += sumLanes(sums[c].second);
      }
    }
  }
}

template <class S, int64_t n, class Add>
KERNEL_INLINE void sumRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  if (tile.inner > kValuesPerBlock<S>) {
    sumLongRuns<S, n>(tile, totals, add);
  } else {
    sumShortRuns<S, n>(tile, totals, add);
  }
}

template <class S>
void runMoments(const void* input, const Tile& tile, double* mean, double* m2) {
  using V = VectorOf<S>;
  const auto* values = (const S*)input;
  momentsOf(values, tile, mean, m2, [&](const Compute<S>* centers, ChannelTotals& totals) {
    sumRuns<S, kRunsAtOnce>(tile, totals, [&](const SumPair<V>& sums, int64_t i, int64_t channel, auto lanes) KERNEL_LAMBDA {
      const V deviation = load(values + i, lanes) - broadcast(centers[channel]);
      return SumPair<V>{sums.first + deviation, multiplyAdd(deviation, deviation, sums.second)};
    });
  });
}

// The coefficient of one channel in all lanes.
template <class S>
KERNEL_INLINE VectorOf<S> coefficient(const void* perChannel, int64_t channel) {
  return broadcast(((const Compute<S>*)perChannel)[channel]);
}

template <class S>
KERNEL_INLINE AffineVectors<VectorOf<S>> coefficients(const Affine& affine, int64_t channel) {
  return {coefficient<S>(affine.mean, channel), coefficient<S>(affine.scale, channel), coefficient<S>(affine.shift, channel)};
}

template <class S>
KERNEL_INLINE BackwardVectors<VectorOf<S>> coefficients(const BackwardAffine& affine, int64_t channel) {
  return {coefficients<S>(affine.forward, channel), coefficient<S>(affine.slope, channel), coefficient<S>(affine.offset, channel)};
}

// Lanes of `before` where the mask is set, of `after` elsewhere.
template <class M, class V>
KERNEL_INLINE AffineVectors<V> select(M mask, const AffineVectors<V>& before, const AffineVectors<V>& after) {
  return {select(mask, before.mean, after.mean), select(mask, before.scale, after.scale), select(mask, before.shift, after.shift)};
}
template <class M, class V>
KERNEL_INLINE BackwardVectors<V> select(M mask, const BackwardVectors<V>& before, const BackwardVectors<V>& after) {
  return {select(mask, before.forward, after.forward), select(mask, before.slope, after.slope), select(mask, before.offset, after.offset)};
}

// Calls body(column, coefficient vectors, lanes) for the vectors of a tile's row, which is written to `destination`. They begin where a
// store is aligned, and so hold the end of one run and the beginning of the next where these meet: a part of each would be two stores.
template <class S, class Affine, class Body>
KERNEL_INLINE void forEachVectorOfRow(const S* destination, const Tile& tile, const Affine& affine, Body body) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  const int64_t misaligned = (int64_t)((uintptr_t)destination / sizeof(S) % (uintptr_t)width);
  int64_t column = 0;
  for (int64_t channel = 0; channel < tile.channels; ++channel) {
    const auto vectors = coefficients<S>(affine, channel);
    const int64_t end = (channel + 1) * tile.inner;
    if (channel == 0 && misaligned != 0) {
      body(column, vectors, Part{width - misaligned});
      column = width - misaligned;
    }
    for (; column + width <= end; column += width) body(column, vectors, Whole{});
    if (column >= end) continue;
    if (channel + 1 == tile.channels) {
      body(column, vectors, Part{end - column});
    } else {
      body(column, select(lanesBelow(end - column, VectorOf<S>{}), vectors, coefficients<S>(affine, channel + 1)), Whole{});
      column += width;
    }
  }
}

// Writes body(element, coefficient vectors, lanes) of each element of a tile, n rows at once. Vectors that belong to two runs are one
// more copy of its code; where that is long they are left out.
template <class S, int64_t n, bool shared, class Affine, class Body>
KERNEL_INLINE void writeRuns(S* destination, const Tile& tile, const Affine& affine, bool pastCaches, Body body) {
  const auto write = [&](auto rows, const auto& vectors, auto lanes) KERNEL_LAMBDA {
    storeRows(destination, rows, lanes, pastCaches, [&](int64_t at) KERNEL_LAMBDA { return body(at, vectors, lanes); });
  };
  if (shared && tile.inner >= Simd<Compute<S>>::kWidth) {
    forEachRowOfRuns<S, n>(tile, [&](auto rows) KERNEL_LAMBDA {
      forEachVectorOfRow((const S*)destination + rows.first, tile, affine,
                         [&](int64_t column, const auto& vectors, auto lanes) KERNEL_LAMBDA { write(rows.at(column), vectors, lanes); });
    });
  } else {
    forEachRun<S, 1>(tile, [&](auto run, int64_t channel) KERNEL_LAMBDA {
      const auto vectors = coefficients<S>(affine, channel);
      forEachAlignedVector((const S*)destination + run.first, tile.inner,
                           [&](int64_t i, auto lanes) KERNEL_LAMBDA { write(run.at(i), vectors, lanes); });
    });
  }
  if (pastCaches) finishStores();
}

template <class S>
struct RunForward {
  const ForwardTensors& tensors;
  const Tile& tile;
  const Affine& affine;

  template <ActivationKind kind, Residual residual>
  void run() const {
    const ForwardTensors local = tensors;
    writeRuns<S, runsAtOnce(kind, residual), kind != ActivationKind::Other>(
        (S*)local.output, tile, affine, local.pastCaches, [&](int64_t i, const auto& vectors, auto lanes) KERNEL_LAMBDA {
          return forwardVector<S, kind, residual>(local, i, vectors, lanes);
        });
  }
};

template <class S>
struct RunGradientSums {
  const BackwardTensors& tensors;
  const Tile& tile;
  const BackwardAffine& affine;
  ChannelTotals& totals;

  template <GradientSource source>
  void run() const {
    using V = VectorOf<S>;
    const BackwardTensors local = tensors;
    sumRuns<S, runsAtOnce(source)>(tile, totals, [&](const SumPair<V>& sums, int64_t i, int64_t channel, auto lanes) KERNEL_LAMBDA {
      const auto vectors = coefficients<S>(affine.forward, channel);
      const V x = loadInput<S, source>(local, i, lanes);
      const V dz = preActivationGradient<S, source>(local, i, x, vectors, lanes);
      return SumPair<V>{sums.first + dz, multiplyAdd(dz, x - vectors.mean, sums.second)};
    });
  }
};

template <class S>
struct RunGradient {
  const BackwardTensors& tensors;
  const Tile& tile;
  const BackwardAffine& affine;

  template <GradientSource source>
  void run() const {
    constexpr int64_t n = runsAtOnce(source);
    const BackwardTensors local = tensors;
    writeRuns<S, n, n != 1>((S*)local.gradInput, tile, affine, local.pastCaches,
                            [&](int64_t i, const auto& vectors, auto lanes)
                                KERNEL_LAMBDA { return gradientVector<S, source>(local, i, vectors, lanes); });
  }
};

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
