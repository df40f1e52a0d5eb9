// Kernels for channels that are runs of contiguous values, with one set of coefficients each. The runs of a tile are taken in the order
// of memory.

#pragma once

#include "elementwise.h"
#include "shifted_sums.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Most values of a run summed in the compute type before the sum goes on in double.
constexpr int64_t kMaxBlock = 4096;

// Calls body(first element, channel of the tile) for each run.
template <class Body>
KERNEL_INLINE void forEachRun(const Tile& tile, Body body) {
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t first = tile.offset + row * tile.stride;
    for (int64_t c = 0; c < tile.channels; ++c) body(first + c * tile.inner, c);
  }
}

// Two sums per lane.
template <class V>
struct SumPair {
  V first = {}, second = {};
};

template <class V>
KERNEL_INLINE V addSets(V a, V b, V c, V d) {
  return (a + b) + (c + d);
}

// Adds to `a` the sums over elements [first, end), in four sets side by side to hide the latency of an addition. add(sums, element, Whole
// or Part) returns the sums with one vector added; lanes beyond a part are dropped here.
//
// Loads begin where an element's number is a multiple of the vector's width: one across two cache lines costs two. The numbers decide,
// not the addresses, so that the order of summation does not depend on where a tensor lies.
template <class C, class Add>
KERNEL_INLINE SumPair<typename Simd<C>::Vector> sumRun(SumPair<typename Simd<C>::Vector> a, int64_t first, int64_t end, Add add) {
  using V = typename Simd<C>::Vector;
  constexpr int64_t width = Simd<C>::kWidth;
  const auto addPart = [&](const SumPair<V>& sums, int64_t i, int64_t count) KERNEL_LAMBDA {
    const SumPair<V> next = add(sums, i, Part{count});
    const auto kept = lanesBelow(count, V{});
    return SumPair<V>{select(kept, next.first, sums.first), select(kept, next.second, sums.second)};
  };
  SumPair<V> b, c, d;
  int64_t i = first;
  const int64_t aligned = (first + width - 1) / width * width;
  if (aligned > first && aligned < end) {
    d = addPart(d, first, aligned - first);
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
  if (i < end) b = addPart(b, i, end - i);
  return {addSets(a.first, b.first, c.first, d.first), addSets(a.second, b.second, c.second, d.second)};
}

// Channels whose sums are kept side by side: they and what is read then fit the first-level cache.
constexpr int64_t kChannelsAtOnce = 64;

// Adds each run's two sums to its channel's totals. add(sums, element, channel, Whole or Part) as in sumRun.
template <class C, class Add>
KERNEL_INLINE void sumLongRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  const int64_t parts = (tile.inner + kMaxBlock - 1) / kMaxBlock;
  forEachRun(tile, [&](int64_t first, int64_t channel) KERNEL_LAMBDA {
    for (int64_t part = 0; part < parts; ++part) {
      const auto sums = sumRun<C>({}, first + tile.inner * part / parts, first + tile.inner * (part + 1) / parts,
                                  [&](const auto& before, int64_t i, auto lanes) KERNEL_LAMBDA { return add(before, i, channel, lanes); });
      totals.first[channel] += sumLanes(sums.first);
      totals.second[channel] += sumLanes(sums.second);
    }
  });
}

// The same for runs so short that it pays to add up the lanes of several at once.
template <class C, class Add>
KERNEL_INLINE void sumShortRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  using V = typename Simd<C>::Vector;
  const int64_t rowsPerBlock = kMaxBlock / tile.inner;
  for (int64_t begin = 0; begin < tile.channels; begin += kChannelsAtOnce) {
    const int64_t count = tile.channels - begin < kChannelsAtOnce ? tile.channels - begin : kChannelsAtOnce;
    for (int64_t row = 0; row < tile.rows; row += rowsPerBlock) {
      SumPair<V> sums[kChannelsAtOnce];
      const int64_t rows = tile.rows - row < rowsPerBlock ? tile.rows - row : rowsPerBlock;
      forEachRun({tile.offset + row * tile.stride + begin * tile.inner, tile.stride, rows, tile.inner, count},
                 [&](int64_t first, int64_t c) KERNEL_LAMBDA {
                   sums[c] = sumRun<C>(sums[c], first, first + tile.inner, [&](const auto& before, int64_t i, auto lanes) KERNEL_LAMBDA {
                     return add(before, i, begin + c, lanes);
                   });
                 });
      for (int64_t c = 0; c < count; ++c) {
        totals.first[begin + c] += sumLanes(sums[c].first);
        totals.second[begin + c] += sumLanes(sums[c].second);
      }
    }
  }
}

template <class C, class Add>
KERNEL_INLINE void sumRuns(const Tile& tile, ChannelTotals& totals, Add add) {
  if (2 * tile.inner > kMaxBlock) {
    sumLongRuns<C>(tile, totals, add);
  } else {
    sumShortRuns<C>(tile, totals, add);
  }
}

template <class S>
void runMoments(const void* input, const Tile& tile, double* mean, double* m2) {
  using V = VectorOf<S>;
  const auto* values = (const S*)input;
  momentsOf(values, tile, mean, m2, [&](const Compute<S>* centers, ChannelTotals& totals) {
    sumRuns<Compute<S>>(tile, totals, [&](const SumPair<V>& sums, int64_t i, int64_t channel, auto lanes) KERNEL_LAMBDA {
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

template <class S>
struct RunForward {
  const ForwardTensors& tensors;
  const Tile& tile;
  const Affine& affine;

  template <ActivationKind kind, bool hasResidual>
  void run() const {
    const ForwardTensors local = tensors;
    forEachRun(tile, [&](int64_t first, int64_t channel) KERNEL_LAMBDA {
      const auto vectors = coefficients<S>(affine, channel);
      forEachAlignedVector((const S*)local.output + first, tile.inner, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
        store((S*)local.output + first + i, forwardVector<S, kind, hasResidual>(local, first + i, vectors, lanes), lanes);
      });
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
    sumRuns<Compute<S>>(tile, totals, [&](const SumPair<V>& sums, int64_t i, int64_t channel, auto lanes) KERNEL_LAMBDA {
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
    const BackwardTensors local = tensors;
    forEachRun(tile, [&](int64_t first, int64_t channel) KERNEL_LAMBDA {
      const auto vectors = coefficients<S>(affine, channel);
      S* const destination = (S*)local.gradInput + first;
      forEachAlignedVector(destination, tile.inner, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
        const auto gradient = gradientVector<S, source>(local, first + i, vectors, lanes);
        if (local.largerThanCaches) {
          storePastCaches(destination + i, gradient, lanes);
        } else {
          store(destination + i, gradient, lanes);
        }
      });
    });
    if (local.largerThanCaches) finishStores();
  }
};

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
