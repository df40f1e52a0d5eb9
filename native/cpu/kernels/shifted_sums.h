// Mean and variance from one pass over the data: sums of x - center and of its square, about a center taken from a sample.
//
// The sums lose accuracy only when the center is far from the mean compared with the deviation. That is checked afterwards, and where
// it happened the pass is done again about the mean that the first one found.

#pragma once

#include "elementwise.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// About so many of a channel's values give the center.
constexpr int64_t kSampleValues = 48;

// Most rows a sample takes: of few rows fewer, for they cost more then, and the sums are short.
constexpr int64_t kSampleRows = 24;
constexpr int64_t kSampleRowsOfFew = 12;
constexpr int64_t kFewRows = 100;

// The square of how many deviations the center may be off: the variance is then a difference of numbers at most three times as large.
constexpr double kTolerance = 2;

// One value per column, with room for a whole vector at the end, and more: were two arrays almost a multiple of a page apart, loads
// from one would wait for the last stores to the other, as processors compare the last 12 bits of their addresses first.
template <class C>
struct ColumnArray {
  alignas(KERNEL_VECTOR_BYTES) C values[kMaxTileColumns + kMaxTileColumns / 4 + Simd<C>::kWidth];
};

// Two totals per channel of the tile.
struct ChannelTotals {
  double first[kMaxTileColumns];
  double second[kMaxTileColumns];

  void clear(int64_t channels) {
    for (int64_t c = 0; c < channels; ++c) first[c] = second[c] = 0;
  }
};

// Means of short runs: of the first rows.
template <class S>
void sampleShortRuns(const S* input, const Tile& tile, Compute<S>* centers) {
  using C = Compute<S>;
  using V = VectorOf<S>;
  const int64_t most = tile.rows < kFewRows ? kSampleRowsOfFew : kSampleRows;
  const int64_t wanted = kSampleValues / tile.inner < most ? kSampleValues / tile.inner : most;
  const int64_t rows = wanted < tile.rows ? wanted : tile.rows;
  const C share = 1 / (C)(rows * tile.inner);
  const auto sumOfRows = [&](int64_t i, auto lanes) KERNEL_LAMBDA {
    V sum = {};
    for (int64_t row = 0; row < rows; ++row) sum += load(input + tile.offset + row * tile.stride + i, lanes);
    return sum;
  };
  if (tile.inner == 1) {
    forEachVector<C>(tile.channels,
                     [&](int64_t c, auto lanes) KERNEL_LAMBDA { store(centers + c, sumOfRows(c, lanes) * broadcast(share)); });
    return;
  }
  for (int64_t c = 0; c < tile.channels; ++c) centers[c] = (C)sumLanes(sumOfRows(c * tile.inner, Part{tile.inner})) * share;
}

// Means of longer runs: of vectors here and there.
template <class S>
void sampleLongRuns(const S* input, const Tile& tile, Compute<S>* centers) {
  using C = Compute<S>;
  constexpr int64_t width = Simd<C>::kWidth;
  constexpr int64_t vectors = kSampleValues / width;
  int64_t positions[vectors];
  for (int64_t k = 0; k < vectors; ++k) {
    positions[k] = tile.offset + tile.rows * k / vectors * tile.stride + (tile.inner - width) * k / vectors / kLineValues * kLineValues;
  }
  for (int64_t c = 0; c < tile.channels; ++c) {
    VectorOf<S> sum = {};
    for (int64_t k = 0; k < vectors; ++k) sum += load(input + positions[k] + c * tile.inner);
    centers[c] = (C)sumLanes(sum) * (1 / (C)(vectors * width));
  }
}

template <class S>
void sampleCenters(const S* input, const Tile& tile, Compute<S>* centers) {
  if (tile.inner < Simd<Compute<S>>::kWidth) {
    sampleShortRuns(input, tile, centers);
  } else {
    sampleLongRuns(input, tile, centers);
  }
}

// Moments from sums about the centers; whether all of them are accurate. NaN and infinities never are: another pass does not help
// them, but does no harm.
template <class C>
bool momentsAboutCenters(const Tile& tile, const C* centers, const ChannelTotals& totals, double* mean, double* m2) {
  const auto count = (double)(tile.rows * tile.inner);
  const double share = 1 / count;
  int64_t inaccurate = 0;
  for (int64_t c = 0; c < tile.channels; ++c) {
    const double offset = totals.first[c] * share;
    const double shifted = totals.first[c] * offset;
    mean[c] = (double)centers[c] + offset;
    m2[c] = totals.second[c] - shifted;
    inaccurate += !(shifted <= kTolerance * m2[c]);
  }
  return inaccurate == 0;
}

// sumUp(centers, totals) adds the sums of x - center and of its square for each channel of the tile.
template <class S, class SumUp>
void momentsOf(const S* input, const Tile& tile, double* mean, double* m2, SumUp sumUp) {
  ColumnArray<Compute<S>> centers;
  ChannelTotals totals;
  const auto measure = [&] {
    totals.clear(tile.channels);
    sumUp(centers.values, totals);
    return momentsAboutCenters(tile, centers.values, totals, mean, m2);
  };
  sampleCenters(input, tile, centers.values);
  if (measure()) return;
  for (int64_t c = 0; c < tile.channels; ++c) centers.values[c] = (Compute<S>)mean[c];
  measure();
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
