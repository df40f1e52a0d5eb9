// Kernels for rows of contiguous values in which the channel changes after a few columns or after each: channels last, and channels
// first with a short inner dimension. Rows are read in memory order, four at a time, so that accumulators and coefficients are loaded
// once for four.

#pragma once

#include "elementwise.h"
#include "shifted_sums.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Rows summed in the compute type before the sum goes on in double.
constexpr int64_t kRowsPerBlock = 128;
constexpr int64_t kRowsAtOnce = 4;

// Most rows a sample takes.
constexpr int64_t kSampleRows = 24;

// One value per column, with room for a whole vector at the end.
template <class C>
struct ColumnArray {
  alignas(KERNEL_VECTOR_BYTES) C values[kMaxTileColumns + Simd<C>::kWidth];
};

// The number of rows is a template argument, so that loops over them disappear.
template <int64_t n>
struct RowGroup {
  static constexpr int64_t kRows = n;
};
template <class Body>
KERNEL_INLINE void forEachRowGroup(int64_t rows, Body body) {
  int64_t row = 0;
  for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce) body(row, RowGroup<kRowsAtOnce>{});
  for (; row < rows; ++row) body(row, RowGroup<1>{});
}

// A tile whose rows are taken `repeats` at a time as one, so that few channels fill vectors too.
struct FoldedTile {
  int64_t offset, stride, rows, inner, channels, repeats;

  int64_t period() const { return channels * inner; }
  int64_t columns() const { return repeats * period(); }
};

// Columns that a folded row should have.
constexpr int64_t kFoldedColumns = 64;

inline int64_t repeatsOf(const ColumnTile& tile) {
  const bool rowsAreContiguous = tile.stride == tile.columns();
  return rowsAreContiguous && tile.columns() < kFoldedColumns ? kFoldedColumns / tile.columns() : 1;
}

// Calls body with the tile folded, then with the rows that were left over.
template <class Body>
KERNEL_INLINE void forEachFold(const ColumnTile& tile, Body body) {
  const int64_t repeats = repeatsOf(tile);
  const int64_t folded = tile.rows / repeats;
  const int64_t left = tile.rows - folded * repeats;
  if (folded > 0) body(FoldedTile{tile.offset, tile.stride * repeats, folded, tile.inner, tile.channels, repeats});
  if (left > 0) body(FoldedTile{tile.offset + folded * repeats * tile.stride, tile.stride, left, tile.inner, tile.channels, 1});
}

// A coefficient for each column: the channels' own array when a channel is one column.
template <class C>
class ColumnCoefficients {
 public:
  KERNEL_INLINE ColumnCoefficients(const void* perChannel, const FoldedTile& tile) : values_((const C*)perChannel) {
    if (tile.columns() == tile.channels) return;
    C* column = spread_.values;
    for (int64_t channel = 0; channel < tile.channels; ++channel, column += tile.inner) {
      // Whole vectors run over into the next channel, which comes after.
      for (int64_t i = 0; i < tile.inner; i += Simd<C>::kWidth) store(column + i, broadcast(values_[channel]));
    }
    for (int64_t i = 1; i < tile.repeats; ++i, column += tile.period()) {
      memcpy(column, spread_.values, (size_t)tile.period() * sizeof(C));
    }
    values_ = spread_.values;
  }
  template <class Lanes>
  KERNEL_INLINE typename Simd<C>::Vector at(int64_t column, Lanes lanes) const {
    return load(values_ + column, lanes);
  }

 private:
  const C* values_;
  ColumnArray<C> spread_;
};

template <class C>
struct ColumnAffine {
  ColumnCoefficients<C> mean, scale, shift;
  KERNEL_INLINE ColumnAffine(const Affine& affine, const FoldedTile& tile)
      : mean(affine.mean, tile), scale(affine.scale, tile), shift(affine.shift, tile) {}

  template <class Lanes>
  KERNEL_INLINE AffineVectors<typename Simd<C>::Vector> at(int64_t column, Lanes lanes) const {
    return {mean.at(column, lanes), scale.at(column, lanes), shift.at(column, lanes)};
  }
};

// Two totals per channel of the tile.
struct ChannelTotals {
  double first[kMaxTileColumns];
  double second[kMaxTileColumns];

  void clear(int64_t channels) {
    for (int64_t c = 0; c < channels; ++c) first[c] = second[c] = 0;
  }
};

// Adds the columns' block sums to their channels' totals.
template <class C>
KERNEL_INLINE void addToTotals(const FoldedTile& tile, const C* sums, double* totals) {
  for (int64_t i = 0; i < tile.repeats; ++i, sums += tile.period()) {
    if (tile.inner == 1) {
      for (int64_t c = 0; c < tile.channels; ++c) totals[c] += (double)sums[c];
      continue;
    }
    for (int64_t c = 0; c < tile.channels; ++c) {
      typename Simd<C>::Vector sum = {};
      forEachVector<C>(tile.inner, [&](int64_t k, auto lanes) KERNEL_LAMBDA { sum += load(sums + c * tile.inner + k, lanes); });
      totals[c] += sumLanes(sum);
    }
  }
}

// Adds to two totals per channel, summing each column over blocks of rows in the compute type first.
// add(first, second, row group, element, column, lanes) adds the group's values of one vector of columns.
template <class C, class Add>
KERNEL_INLINE void sumColumns(const FoldedTile& tile, ChannelTotals& totals, Add add) {
  using V = typename Simd<C>::Vector;
  const int64_t columns = tile.columns();
  ColumnArray<C> first, second;
  for (int64_t row = 0; row < tile.rows; row += kRowsPerBlock) {
    const int64_t rows = tile.rows - row < kRowsPerBlock ? tile.rows - row : kRowsPerBlock;
    for (int64_t c = 0; c < columns; c += Simd<C>::kWidth) {
      store(first.values + c, V{});
      store(second.values + c, V{});
    }
    forEachRowGroup(rows, [&](int64_t groupRow, auto group) KERNEL_LAMBDA {
      const int64_t start = tile.offset + (row + groupRow) * tile.stride;
      forEachVector<C>(columns, [&](int64_t c, auto lanes) KERNEL_LAMBDA {
        V a = load(first.values + c);
        V b = load(second.values + c);
        add(a, b, group, start + c, c, lanes);
        store(first.values + c, a);
        store(second.values + c, b);
      });
    });
    addToTotals(tile, first.values, totals.first);
    addToTotals(tile, second.values, totals.second);
  }
}

// Sums of x - center and of its square, for each channel of the tile.
template <class S>
void columnShiftedSums(const S* input, const ColumnTile& tile, const Compute<S>* centers, ChannelTotals& totals) {
  using C = Compute<S>;
  using V = VectorOf<S>;
  totals.clear(tile.channels);
  forEachFold(tile, [&](const FoldedTile& fold) {
    const ColumnCoefficients<C> center(centers, fold);
    const V one = broadcast((C)1);
    const int64_t stride = fold.stride;
    sumColumns<C>(fold, totals, [&](V& sum, V& squares, auto group, int64_t i, int64_t c, auto lanes) KERNEL_LAMBDA {
      const V middle = center.at(c, lanes);
      V deviation[decltype(group)::kRows];
      V square = {};
      for (int64_t k = 0; k < decltype(group)::kRows; ++k) {
        deviation[k] = load(input + i + k * stride, lanes) - middle;
        square = multiplyAdd(deviation[k], deviation[k], square);
      }
      squares += square;
      if constexpr (decltype(group)::kRows == 4) {
        // Two sums by addition, two by multiplication with one: processors have other units for each.
        sum = multiplyAdd(deviation[3], one, multiplyAdd(deviation[2], one, sum + (deviation[0] + deviation[1])));
      } else {
        sum += deviation[0];
      }
    });
  });
}

// Moments from sums about the centers; whether all of them are accurate.
template <class C>
bool momentsAboutCenters(const ColumnTile& tile, const C* centers, const ChannelTotals& totals, double* mean, double* m2) {
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

template <class S>
void columnMoments(const void* input, const ColumnTile& tile, double* mean, double* m2) {
  using C = Compute<S>;
  ColumnArray<C> centers = {};
  ChannelTotals totals;
  const auto measure = [&](const ColumnTile& part) {
    columnShiftedSums((const S*)input, part, centers.values, totals);
    return momentsAboutCenters(part, centers.values, totals, mean, m2);
  };
  const auto moveCenters = [&] {
    for (int64_t c = 0; c < tile.channels; ++c) centers.values[c] = (C)mean[c];
  };

  ColumnTile sample = tile;
  sample.rows = kSampleValues / tile.inner < kSampleRows ? kSampleValues / tile.inner + 1 : kSampleRows;
  if (sample.rows < repeatsOf(tile)) sample.rows = repeatsOf(tile);
  if (sample.rows > tile.rows) sample.rows = tile.rows;
  measure(sample);
  moveCenters();
  if (measure(tile)) return;
  moveCenters();
  measure(tile);
}

template <class S>
struct ColumnForward {
  const ForwardTensors& tensors;
  const ColumnTile& tile;
  const Affine& affine;

  template <ActivationKind kind, bool hasResidual>
  void run() const {
    const ForwardTensors local = tensors;
    forEachFold(tile, [&](const FoldedTile& fold) {
      const ColumnAffine<Compute<S>> coefficients(affine, fold);
      for (int64_t row = 0; row < fold.rows; ++row) {
        const int64_t first = fold.offset + row * fold.stride;
        forEachVector<Compute<S>>(fold.columns(), [&](int64_t c, auto lanes) KERNEL_LAMBDA {
          forwardVector<S, kind, hasResidual>(local, first + c, coefficients.at(c, lanes), lanes);
        });
      }
    });
  }
};

template <class S>
void columnForward(const ForwardTensors& tensors, const ColumnTile& tile, const Affine& affine) {
  dispatchForward(tensors, ColumnForward<S>{tensors, tile, affine});
}

template <class S>
struct ColumnGradientSums {
  const BackwardTensors& tensors;
  const ColumnTile& tile;
  const BackwardAffine& affine;
  ChannelTotals& totals;

  template <GradientSource source>
  void run() const {
    using V = VectorOf<S>;
    const BackwardTensors local = tensors;
    forEachFold(tile, [&](const FoldedTile& fold) {
      const ColumnAffine<Compute<S>> coefficients(affine.forward, fold);
      const int64_t stride = fold.stride;
      sumColumns<Compute<S>>(fold, totals, [&](V& sum, V& dot, auto group, int64_t i, int64_t c, auto lanes) KERNEL_LAMBDA {
        const auto vectors = coefficients.at(c, lanes);
        for (int64_t k = 0; k < decltype(group)::kRows; ++k) {
          const V x = load((const S*)local.input + i + k * stride, lanes);
          const V dz = preActivationGradient<S, source>(local, i + k * stride, x, vectors, lanes);
          sum += dz;
          dot = multiplyAdd(dz, x - vectors.mean, dot);
        }
      });
    });
  }
};

template <class S>
void columnGradientSums(const BackwardTensors& tensors, const ColumnTile& tile, const BackwardAffine& affine, GradientSums* sums) {
  ChannelTotals totals;
  totals.clear(tile.channels);
  dispatchBackward(tensors, ColumnGradientSums<S>{tensors, tile, affine, totals});
  for (int64_t c = 0; c < tile.channels; ++c) sums[c] = {totals.first[c], totals.second[c]};
}

template <class S>
struct ColumnGradient {
  const BackwardTensors& tensors;
  const ColumnTile& tile;
  const BackwardAffine& affine;

  template <GradientSource source>
  void run() const {
    using C = Compute<S>;
    const BackwardTensors local = tensors;
    forEachFold(tile, [&](const FoldedTile& fold) {
      const ColumnAffine<C> coefficients(affine.forward, fold);
      const ColumnCoefficients<C> slope(affine.slope, fold);
      const ColumnCoefficients<C> offset(affine.offset, fold);
      for (int64_t row = 0; row < fold.rows; ++row) {
        const int64_t first = fold.offset + row * fold.stride;
        forEachVector<C>(fold.columns(), [&](int64_t c, auto lanes) KERNEL_LAMBDA {
          const BackwardVectors<VectorOf<S>> vectors = {coefficients.at(c, lanes), slope.at(c, lanes), offset.at(c, lanes)};
          gradientVector<S, source>(local, first + c, vectors, lanes);
        });
      }
    });
  }
};

template <class S>
void columnGradient(const BackwardTensors& tensors, const ColumnTile& tile, const BackwardAffine& affine) {
  dispatchBackward(tensors, ColumnGradient<S>{tensors, tile, affine});
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
