// Kernels for rows of contiguous values in which the channel changes after a few columns or after each: channels last, and channels
// first with a short inner dimension. Rows are read in memory order, four at a time, so that accumulators and coefficients are loaded
// once for four.

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Rows summed in the compute type before the sum goes on in double.
constexpr int64_t kRowsPerBlock = 128;
constexpr int64_t kRowsAtOnce = 4;

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

// Repeats each channel's value over its columns. Whole vectors run over into the next channel, which comes after.
template <class C>
KERNEL_INLINE void spread(const C* perChannel, int64_t channels, int64_t inner, C* perColumn) {
  for (int64_t channel = 0; channel < channels; ++channel, perColumn += inner) {
    const auto value = broadcast(perChannel[channel]);
    for (int64_t i = 0; i < inner; i += Simd<C>::kWidth) store(perColumn + i, value);
  }
}

// A coefficient for each column: the channels' own array when a channel is one column.
template <class C>
class ColumnCoefficients {
 public:
  KERNEL_INLINE ColumnCoefficients(const void* perChannel, const ColumnTile& tile) : values_((const C*)perChannel) {
    if (tile.inner == 1) return;
    spread(values_, tile.channels, tile.inner, spread_.values);
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
  KERNEL_INLINE ColumnAffine(const Affine& affine, const ColumnTile& tile)
      : mean(affine.mean, tile), scale(affine.scale, tile), shift(affine.shift, tile) {}

  template <class Lanes>
  KERNEL_INLINE AffineVectors<typename Simd<C>::Vector> at(int64_t column, Lanes lanes) const {
    return {mean.at(column, lanes), scale.at(column, lanes), shift.at(column, lanes)};
  }
};

// Two sums per column of the tile, taken over blocks of rows, then added to the channels' totals in double.
// add(first, second, row group, element, column, lanes) adds the group's values of one vector of columns.
template <class C, class Add, class Total>
KERNEL_INLINE void sumColumns(const ColumnTile& tile, Add add, Total total) {
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
    for (int64_t channel = 0; channel < tile.channels; ++channel) {
      if (tile.inner == 1) {
        total(channel, (double)first.values[channel], (double)second.values[channel]);
        continue;
      }
      V a = {}, b = {};
      const int64_t start = channel * tile.inner;
      forEachVector<C>(tile.inner, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
        a += load(first.values + start + i, lanes);
        b += load(second.values + start + i, lanes);
      });
      total(channel, sumLanes(a), sumLanes(b));
    }
  }
}

// Sums of the tile's columns about each channel's center.
template <class S>
void columnShiftedSums(const S* input, const ColumnTile& tile, const Compute<S>* centers, ShiftedSums* sums) {
  using C = Compute<S>;
  using V = VectorOf<S>;
  const ColumnCoefficients<C> center(centers, tile);
  const int64_t stride = tile.stride;
  for (int64_t channel = 0; channel < tile.channels; ++channel) sums[channel] = {};
  sumColumns<C>(
      tile,
      [&](V& sum, V& squares, auto group, int64_t i, int64_t c, auto lanes) KERNEL_LAMBDA {
        constexpr int64_t n = decltype(group)::kRows;
        const V middle = center.at(c, lanes);
        V deviation[n];
        for (int64_t k = 0; k < n; ++k) {
          deviation[k] = load(input + i + k * stride, lanes) - middle;
          squares = multiplyAdd(deviation[k], deviation[k], squares);
        }
        if constexpr (n == 4) {
          sum += (deviation[0] + deviation[1]) + (deviation[2] + deviation[3]);
        } else {
          sum += deviation[0];
        }
      },
      [&](int64_t channel, double sum, double squares) KERNEL_LAMBDA {
        sums[channel].sum += sum;
        sums[channel].squares += squares;
      });
}

template <class S>
void columnMoments(const void* input, const ColumnTile& tile, Moments* moments) {
  using C = Compute<S>;
  const S* values = (const S*)input;
  ColumnArray<C> centers;
  ShiftedSums sums[kMaxTileColumns];
  const auto momentsAboutCenters = [&](const ColumnTile& part) {
    columnShiftedSums(values, part, centers.values, sums);
    bool accurate = true;
    for (int64_t c = 0; c < tile.channels; ++c) {
      moments[c] = momentsOf(sums[c], (double)centers.values[c], (double)(part.rows * part.inner));
      accurate &= isAccurate(moments[c], (double)centers.values[c]);
    }
    return accurate;
  };
  const auto moveCenters = [&] {
    for (int64_t c = 0; c < tile.channels; ++c) centers.values[c] = (C)moments[c].mean;
  };

  ColumnTile sample = tile;
  const int64_t sampleRows = kSampleValues / tile.inner < kRowsAtOnce * 4 ? kSampleValues / tile.inner + 1 : kRowsAtOnce * 4;
  if (sample.rows > sampleRows) sample.rows = sampleRows;
  for (int64_t c = 0; c < tile.channels; ++c) centers.values[c] = 0;
  momentsAboutCenters(sample);
  moveCenters();
  if (momentsAboutCenters(tile)) return;
  moveCenters();
  momentsAboutCenters(tile);
}

template <class S>
struct ColumnForward {
  const ForwardTensors& tensors;
  const ColumnTile& tile;
  const Affine& affine;

  template <ActivationKind kind, bool hasResidual>
  void run() const {
    const ForwardTensors local = tensors;
    const int64_t stride = tile.stride;
    const ColumnAffine<Compute<S>> coefficients(affine, tile);
    forEachRowGroup(tile.rows, [&](int64_t row, auto group) KERNEL_LAMBDA {
      const int64_t first = tile.offset + row * stride;
      forEachVector<Compute<S>>(tile.columns(), [&](int64_t c, auto lanes) KERNEL_LAMBDA {
        const auto vectors = coefficients.at(c, lanes);
        for (int64_t k = 0; k < decltype(group)::kRows; ++k) {
          forwardVector<S, kind, hasResidual>(local, first + k * stride + c, vectors, lanes);
        }
      });
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
  GradientSums* sums;

  template <GradientSource source>
  void run() const {
    using V = VectorOf<S>;
    const BackwardTensors local = tensors;
    const int64_t stride = tile.stride;
    const ColumnAffine<Compute<S>> coefficients(affine.forward, tile);
    for (int64_t channel = 0; channel < tile.channels; ++channel) sums[channel] = {};
    sumColumns<Compute<S>>(
        tile,
        [&](V& sum, V& dot, auto group, int64_t i, int64_t c, auto lanes) KERNEL_LAMBDA {
          const auto vectors = coefficients.at(c, lanes);
          for (int64_t k = 0; k < decltype(group)::kRows; ++k) {
            const V x = load((const S*)local.input + i + k * stride, lanes);
            const V dz = preActivationGradient<S, source>(local, i + k * stride, x, vectors, lanes);
            sum += dz;
            dot = multiplyAdd(dz, x - vectors.mean, dot);
          }
        },
        [&](int64_t channel, double sum, double dot) KERNEL_LAMBDA {
          sums[channel].sum += sum;
          sums[channel].dot += dot;
        });
  }
};

template <class S>
void columnGradientSums(const BackwardTensors& tensors, const ColumnTile& tile, const BackwardAffine& affine, GradientSums* sums) {
  dispatchBackward(tensors, ColumnGradientSums<S>{tensors, tile, affine, sums});
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
    const int64_t stride = tile.stride;
    const ColumnAffine<C> coefficients(affine.forward, tile);
    const ColumnCoefficients<C> slope(affine.slope, tile);
    const ColumnCoefficients<C> offset(affine.offset, tile);
    forEachRowGroup(tile.rows, [&](int64_t row, auto group) KERNEL_LAMBDA {
      const int64_t first = tile.offset + row * stride;
      forEachVector<C>(tile.columns(), [&](int64_t c, auto lanes) KERNEL_LAMBDA {
        const BackwardVectors<VectorOf<S>> vectors = {coefficients.at(c, lanes), slope.at(c, lanes), offset.at(c, lanes)};
        for (int64_t k = 0; k < decltype(group)::kRows; ++k) {
          gradientVector<S, source>(local, first + k * stride + c, vectors, lanes);
        }
      });
    });
  }
};

template <class S>
void columnGradient(const BackwardTensors& tensors, const ColumnTile& tile, const BackwardAffine& affine) {
  dispatchBackward(tensors, ColumnGradient<S>{tensors, tile, affine});
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
