// Kernels for rows of contiguous values in which the channel changes after a few columns or after each: channels last, and channels
// first with a short inner dimension. A few rows are taken together, so that coefficients and accumulators are loaded once for all.

#pragma once

#include "row_group.h"
#include "shifted_sums.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Rows summed in the compute type before the sum goes on in double. Roundings of a growing sum lean one way: twice as many rows would
// double the error, and half as many take more time.
constexpr int64_t kRowsPerBlock = 128;

// Rows taken together, by measurement: the more, the fewer loads of coefficients and accumulators, and the more places to read from.
constexpr int64_t kRowsSummed = 4;
constexpr int64_t kRowsWritten = 2;

// Columns whose gradient is computed at once, so that the coefficients stay in the first-level cache beside six rows.
constexpr int64_t kGradientColumns = 512;

// A tile whose rows are taken `repeats` at a time as one, so that few channels fill vectors too.
struct FoldedTile {
  int64_t offset, stride, rows, inner, channels, repeats;

  int64_t period() const { return channels * inner; }
  int64_t columns() const { return repeats * period(); }
};

// The rows of a tile in `whole` groups of n; what is left of them, one by one, is one more group.
//
// Short rows are grouped with those a good part of the tile away, on another page; an odd number of rows, so that it is not a whole
// number of pages, which would crowd the group into few sets of the first-level cache.
template <class S, int64_t n>
struct RowGroups {
  int64_t offset, stride, rows, whole, step, distance;

  explicit RowGroups(const FoldedTile& tile) : offset(tile.offset), stride(tile.stride), rows(tile.rows) {
    const bool neighbours = stride * (int64_t)sizeof(S) >= kPage;
    const bool manyApart = n > 1 && !neighbours && rows >= 8 * n;
    whole = manyApart ? (rows / n - 1) | 1 : rows / n;
    step = neighbours ? n * stride : stride;
    distance = neighbours ? stride : whole * stride;
  }
  int64_t count() const { return whole * n < rows ? whole + 1 : whole; }

  // Calls body(row group) for the groups [begin, end).
  template <class Body>
  KERNEL_INLINE void forEach(int64_t begin, int64_t end, Body body) const {
    int64_t first = offset + begin * step;
    for (int64_t group = begin; group < (end < whole ? end : whole); ++group, first += step) body(RowGroup<n>{first, distance});
    if constexpr (n > 1) {
      if (end <= whole) return;
      for (int64_t row = whole * n; row < rows; ++row) body(RowGroup<1>{offset + row * stride, 0});
    }
  }
  template <class Body>
  KERNEL_INLINE void forEach(Body body) const {
    forEach(0, count(), body);
  }
};

// Columns that a folded row should have.
constexpr int64_t kFoldedColumns = 256;

inline int64_t repeatsOf(const Tile& tile) {
  const bool rowsAreContiguous = tile.stride == tile.columns();
  return rowsAreContiguous && tile.columns() < kFoldedColumns ? kFoldedColumns / tile.columns() : 1;
}

// Calls body with the tile folded, then with the rows that were left over: in a loop, for its code is long, and would be there twice.
template <class Body>
KERNEL_INLINE void forEachFold(const Tile& tile, Body body) {
  int64_t repeats = repeatsOf(tile);
  for (int64_t row = 0; row < tile.rows; repeats = 1) {
    const int64_t folded = (tile.rows - row) / repeats;
    if (folded > 0) body(FoldedTile{tile.offset + row * tile.stride, tile.stride * repeats, folded, tile.inner, tile.channels, repeats});
    row += folded * repeats;
  }
}

// A coefficient for each column: the channels' own array when a channel is one column. One that is not needed must not be read.
template <class C>
class ColumnCoefficients {
 public:
  KERNEL_INLINE ColumnCoefficients(const void* perChannel, const FoldedTile& tile, bool needed = true) : values_((const C*)perChannel) {
    if (!needed || tile.columns() == tile.channels) return;
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

// Those that are not needed come as zeros.
template <class C, bool needsScale = true, bool needsShift = true>
struct ColumnAffine {
  ColumnCoefficients<C> mean, scale, shift;
  KERNEL_INLINE ColumnAffine(const Affine& affine, const FoldedTile& tile)
      : mean(affine.mean, tile), scale(affine.scale, tile, needsScale), shift(affine.shift, tile, needsShift) {}

  template <class Lanes>
  KERNEL_INLINE AffineVectors<typename Simd<C>::Vector> at(int64_t column, Lanes lanes) const {
    AffineVectors<typename Simd<C>::Vector> vectors = {mean.at(column, lanes), {}, {}};
    if constexpr (needsScale) vectors.scale = scale.at(column, lanes);
    if constexpr (needsShift) vectors.shift = shift.at(column, lanes);
    return vectors;
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

// Sums over the rows of a group. They are added up before the accumulators come in: fewer roundings of large sums.
template <class V>
KERNEL_INLINE V sumOf(const V (&a)[1]) {
  return a[0];
}
template <class V>
KERNEL_INLINE V sumOf(const V (&a)[4]) {
  return (a[0] + a[1]) + (a[2] + a[3]);
}
template <class V>
KERNEL_INLINE V dotOf(const V (&a)[1], const V (&b)[1]) {
  return a[0] * b[0];
}
template <class V>
KERNEL_INLINE V dotOf(const V (&a)[4], const V (&b)[4]) {
  return multiplyAdd(a[0], b[0], a[1] * b[1]) + multiplyAdd(a[2], b[2], a[3] * b[3]);
}

// Adds to two totals per channel, summing each column over blocks of rows in the compute type first.
// add(first, second, row group, column, lanes) adds the group's values of one vector of columns; the group begins at that column.
template <class S, int64_t n, class Add>
KERNEL_INLINE void sumColumns(const FoldedTile& tile, ChannelTotals& totals, Add add) {
  using C = Compute<S>;
  using V = VectorOf<S>;
  constexpr int64_t kGroupsPerBlock = kRowsPerBlock / n;
  const int64_t columns = tile.columns();
  const RowGroups<S, n> groups(tile);
  ColumnArray<C> first, second;
  const int64_t count = groups.count();
  for (int64_t group = 0; group < count; group += kGroupsPerBlock) {
    for (int64_t c = 0; c < columns; c += Simd<C>::kWidth) {
      store(first.values + c, V{});
      store(second.values + c, V{});
    }
    const int64_t end = group + kGroupsPerBlock < count ? group + kGroupsPerBlock : count;
    groups.forEach(group, end, [&](auto rows) KERNEL_LAMBDA {
      forEachVector<C>(columns, [&](int64_t c, auto lanes) KERNEL_LAMBDA {
        V a = load(first.values + c);
        V b = load(second.values + c);
        add(a, b, rows.at(c), c, lanes);
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
void columnShiftedSums(const S* input, const Tile& tile, const Compute<S>* centers, ChannelTotals& totals) {
  using C = Compute<S>;
  using V = VectorOf<S>;
  forEachFold(tile, [&](const FoldedTile& fold) {
    const ColumnCoefficients<C> center(centers, fold);
    sumColumns<S, kRowsSummed>(fold, totals, [&](V& sum, V& squares, auto rows, int64_t c, auto lanes) KERNEL_LAMBDA {
      const V middle = center.at(c, lanes);
      V deviation[rows.kRows];
      for (int64_t k = 0; k < rows.kRows; ++k) deviation[k] = load(input + rows.row(k), lanes) - middle;
      sum += sumOf(deviation);
      squares += dotOf(deviation, deviation);
    });
  });
}

template <class S>
void columnMoments(const void* input, const Tile& tile, double* mean, double* m2) {
  const auto* values = (const S*)input;
  momentsOf(values, tile, mean, m2,
            [&](const Compute<S>* centers, ChannelTotals& totals) { columnShiftedSums(values, tile, centers, totals); });
}

// Whether the vectors of all rows begin at multiples of their size.
template <class S>
bool wholeVectors(const S* tensor, const FoldedTile& tile) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  return (uintptr_t)tensor % (width * sizeof(S)) == 0 && tile.offset % width == 0 && tile.stride % width == 0;
}

template <class S>
struct ColumnForward {
  const ForwardTensors& tensors;
  const Tile& tile;
  const Affine& affine;

  template <ActivationKind kind, Residual residual>
  void run() const {
    const ForwardTensors local = tensors;
    forEachFold(tile, [&](const FoldedTile& fold) {
      const ColumnAffine<Compute<S>> coefficients(affine, fold);
      const int64_t columns = fold.columns();
      const bool pastCaches = local.pastCaches && wholeVectors((const S*)local.output, fold);
      // One row where masks may be written too: GCC 12 breaks down over two of them with SSE2.
      constexpr int64_t kRows = residual != Residual::No && kind != ActivationKind::Identity ? 1 : kRowsWritten;
      RowGroups<S, kRows>(fold).forEach([&](auto rows) KERNEL_LAMBDA {
        forEachVector<Compute<S>>(columns, [&](int64_t c, auto lanes) KERNEL_LAMBDA {
          const auto vectors = coefficients.at(c, lanes);
          storeRows((S*)local.output, rows.at(c), lanes, pastCaches,
                    [&](int64_t i) KERNEL_LAMBDA { return forwardVector<S, kind, residual>(local, i, vectors, lanes); });
        });
      });
    });
    if (local.pastCaches) finishStores();
  }
};

template <class S>
struct ColumnGradientSums {
  const BackwardTensors& tensors;
  const Tile& tile;
  const BackwardAffine& affine;
  ChannelTotals& totals;

  template <GradientSource source>
  void run() const {
    using V = VectorOf<S>;
    const BackwardTensors local = tensors;
    forEachFold(tile, [&](const FoldedTile& fold) {
      const ColumnAffine<Compute<S>, usesTransform(source), usesTransform(source)> coefficients(affine.forward, fold);
      // One row of outputs to undo: GCC 12 breaks down over more of them with SSE2.
      constexpr int64_t kRows = source == GradientSource::LeakyOutput ? 1 : kRowsSummed;
      sumColumns<S, kRows>(fold, totals, [&](V& sum, V& dot, auto rows, int64_t c, auto lanes) KERNEL_LAMBDA {
        const auto vectors = coefficients.at(c, lanes);
        V deviation[rows.kRows], gradient[rows.kRows];
        for (int64_t k = 0; k < rows.kRows; ++k) {
          const V x = loadInput<S, source>(local, rows.row(k), lanes);
          deviation[k] = x - vectors.mean;
          gradient[k] = preActivationGradient<S, source>(local, rows.row(k), x, vectors, lanes);
        }
        sum += sumOf(gradient);
        dot += dotOf(gradient, deviation);
      });
    });
  }
};

// Calls body(first, count) for nearly equal parts of the columns, of kGradientColumns at most; all but the last are whole lines.
template <class Body>
KERNEL_INLINE void forEachPart(int64_t columns, Body body) {
  const int64_t parts = (columns + kGradientColumns - 1) / kGradientColumns;
  const int64_t size = ((columns + parts - 1) / parts + kLineValues - 1) / kLineValues * kLineValues;
  for (int64_t first = 0; first < columns; first += size) body(first, size < columns - first ? size : columns - first);
}

template <class S>
struct ColumnGradient {
  const BackwardTensors& tensors;
  const Tile& tile;
  const BackwardAffine& affine;

  // What a vector has to ask (is there a tile to fetch, a residual's gradient to write, are the statistics constants) takes a good part of
  // so short a loop. The sources met most have one without; each more would take room in every instruction set.
  template <GradientSource source>
  void run() const {
    if constexpr (source == GradientSource::Plain || source == GradientSource::Relu) {
      if (tensors.ahead == 0 && tensors.gradResidual == nullptr && !tensors.constantStatistics) return write<source, true>();
    }
    write<source, false>();
  }

 private:
  template <GradientSource source, bool plain>
  void write() const {
    using C = Compute<S>;
    forEachFold(tile, [&](const FoldedTile& fold) {
      BackwardTensors local = tensors;
      if constexpr (plain) {  // known, so that the compiler sees it too
        local.ahead = 0;
        local.gradResidual = nullptr;
        local.constantStatistics = false;
      }
      const ColumnAffine<C, true, usesTransform(source)> coefficients(affine.forward, fold);
      const ColumnCoefficients<C> slope(affine.slope, fold);
      const ColumnCoefficients<C> offset(affine.offset, fold);
      const bool pastCaches = local.pastCaches && wholeVectors((const S*)local.gradInput, fold);
      constexpr int64_t kRows = source == GradientSource::Other ? 1 : kRowsWritten;
      forEachPart(fold.columns(), [&](int64_t begin, int64_t columns) KERNEL_LAMBDA {
        RowGroups<S, kRows>(fold).forEach([&](auto rows) KERNEL_LAMBDA {
          forEachVector<C>(columns, [&](int64_t column, auto lanes) KERNEL_LAMBDA {
            const int64_t c = begin + column;
            const BackwardVectors<VectorOf<S>> vectors = {coefficients.at(c, lanes), slope.at(c, lanes), offset.at(c, lanes)};
            storeRows((S*)local.gradInput, rows.at(c), lanes, pastCaches,
                      [&](int64_t i) KERNEL_LAMBDA { return gradientVector<S, source>(local, i, vectors, lanes); });
          });
        });
      });
    });
    if (tensors.pastCaches) finishStores();
  }
};

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
