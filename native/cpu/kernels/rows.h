// Kernels for channels that are runs of contiguous values.

#pragma once

#include "elementwise.h"
#include "shifted_sums.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// Values summed in the compute type before the sum goes on in double.
constexpr int64_t kRowBlock = 4096;

// Whole runs if they are short, equal parts of a run if it is long: blocks then end where runs end.
inline int64_t rowBlockSize(int64_t inner) {
  if (inner <= kRowBlock) return kRowBlock / inner * inner;
  const int64_t parts = (inner + kRowBlock - 1) / kRowBlock;
  return (inner + parts - 1) / parts;
}

// Calls body(position, length) for each contiguous run of the range, position counted from the tensor's start.
template <class Body>
KERNEL_INLINE void forEachRun(const RowRange& range, Body body) {
  const int64_t run = range.begin / range.inner;
  int64_t within = range.begin - run * range.inner;
  int64_t position = range.offset + run * range.stride;
  for (int64_t left = range.count; left > 0; position += range.stride, within = 0) {
    const int64_t length = range.inner - within < left ? range.inner - within : left;
    body(position + within, length);
    left -= length;
  }
}

template <class Body>
KERNEL_INLINE void forEachBlock(const RowRange& range, Body body) {
  const int64_t size = rowBlockSize(range.inner);
  RowRange block = range;
  for (int64_t done = 0; done < range.count; done += size) {
    block.begin = range.begin + done;
    block.count = range.count - done < size ? range.count - done : size;
    body(block);
  }
}

// Two sums per lane, and four sets of them side by side to hide the latency of an addition.
template <class V>
struct SumPair {
  V first = {}, second = {};
};

template <class V>
KERNEL_INLINE V addSets(V a, V b, V c, V d) {
  return (a + b) + (c + d);
}

// add(sums, position, Whole or Part) returns the sums with one vector of values added; lanes beyond a run's end are dropped here.
template <class C, class Add>
KERNEL_INLINE SumPair<typename Simd<C>::Vector> sumRuns(const RowRange& range, Add add) {
  using V = typename Simd<C>::Vector;
  constexpr int64_t width = Simd<C>::kWidth;
  SumPair<V> a, b, c, d;
  forEachRun(range, [&](int64_t position, int64_t length) KERNEL_LAMBDA {
    const int64_t end = position + length;
    for (; position + 4 * width <= end; position += 4 * width) {
      a = add(a, position, Whole{});
      b = add(b, position + width, Whole{});
      c = add(c, position + 2 * width, Whole{});
      d = add(d, position + 3 * width, Whole{});
    }
    for (; position + width <= end; position += width) a = add(a, position, Whole{});
    if (position < end) {
      const SumPair<V> next = add(b, position, Part{end - position});
      const auto kept = lanesBelow(end - position, V{});
      b = {select(kept, next.first, b.first), select(kept, next.second, b.second)};
    }
  });
  return {addSets(a.first, b.first, c.first, d.first), addSets(a.second, b.second, c.second, d.second)};
}

template <class S>
ShiftedSums rowShiftedSums(const S* input, const RowRange& range, Compute<S> center) {
  using V = VectorOf<S>;
  const V middle = broadcast(center);
  ShiftedSums total;
  forEachBlock(range, [&](const RowRange& block) KERNEL_LAMBDA {
    const SumPair<V> sums = sumRuns<Compute<S>>(block, [&](const SumPair<V>& sum, int64_t i, auto lanes) KERNEL_LAMBDA {
      const V deviation = load(input + i, lanes) - middle;
      return SumPair<V>{sum.first + deviation, multiplyAdd(deviation, deviation, sum.second)};
    });
    total.sum += sumLanes(sums.first);
    total.squares += sumLanes(sums.second);
  });
  return total;
}

template <class S>
Moments rowMoments(const void* input, const RowRange& range) {
  using C = Compute<S>;
  const S* values = (const S*)input;
  RowRange sample = range;
  if (sample.count > kSampleValues) sample.count = kSampleValues;
  const auto center = (C)(rowShiftedSums(values, sample, (C)0).sum / (double)sample.count);
  const ShiftedSums sums = rowShiftedSums(values, range, center);
  const Moments moments = momentsOf(sums, (double)center, (double)range.count);
  if (isAccurate(sums, moments)) return moments;
  const auto better = (C)moments.mean;
  return momentsOf(rowShiftedSums(values, range, better), (double)better, (double)range.count);
}

template <class S>
KERNEL_INLINE AffineVectors<VectorOf<S>> broadcastAffine(const Affine& affine) {
  using C = Compute<S>;
  return {broadcast(*(const C*)affine.mean), broadcast(*(const C*)affine.scale), broadcast(*(const C*)affine.shift)};
}

template <class S>
KERNEL_INLINE BackwardVectors<VectorOf<S>> broadcastAffine(const BackwardAffine& affine) {
  using C = Compute<S>;
  return {broadcastAffine<S>(affine.forward), broadcast(*(const C*)affine.slope), broadcast(*(const C*)affine.offset)};
}

template <class S>
struct RowForward {
  const ForwardTensors& tensors;
  const RowRange& range;
  const Affine& affine;

  template <ActivationKind kind, bool hasResidual>
  void run() const {
    const ForwardTensors local = tensors;
    const auto coefficients = broadcastAffine<S>(affine);
    forEachRun(range, [&](int64_t position, int64_t length) KERNEL_LAMBDA {
      forEachAlignedVector((const S*)local.output + position, length, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
        store((S*)local.output + position + i, forwardVector<S, kind, hasResidual>(local, position + i, coefficients, lanes), lanes);
      });
    });
  }
};

template <class S>
void rowForward(const ForwardTensors& tensors, const RowRange& range, const Affine& affine) {
  dispatchForward(tensors, RowForward<S>{tensors, range, affine});
}

template <class S>
struct RowGradientSums {
  const BackwardTensors& tensors;
  const RowRange& range;
  const BackwardAffine& affine;
  GradientSums& total;

  template <GradientSource source>
  void run() const {
    using V = VectorOf<S>;
    const BackwardTensors local = tensors;
    const auto coefficients = broadcastAffine<S>(affine.forward);
    forEachBlock(range, [&](const RowRange& block) KERNEL_LAMBDA {
      const SumPair<V> sums = sumRuns<Compute<S>>(block, [&](const SumPair<V>& sum, int64_t i, auto lanes) KERNEL_LAMBDA {
        const V x = load((const S*)local.input + i, lanes);
        const V dz = preActivationGradient<S, source>(local, i, x, coefficients, lanes);
        return SumPair<V>{sum.first + dz, multiplyAdd(dz, x - coefficients.mean, sum.second)};
      });
      total.sum += sumLanes(sums.first);
      total.dot += sumLanes(sums.second);
    });
  }
};

template <class S>
GradientSums rowGradientSums(const BackwardTensors& tensors, const RowRange& range, const BackwardAffine& affine) {
  GradientSums total;
  dispatchBackward(tensors, RowGradientSums<S>{tensors, range, affine, total});
  return total;
}

template <class S>
struct RowGradient {
  const BackwardTensors& tensors;
  const RowRange& range;
  const BackwardAffine& affine;

  template <GradientSource source>
  void run() const {
    const BackwardTensors local = tensors;
    const auto coefficients = broadcastAffine<S>(affine);
    forEachRun(range, [&](int64_t position, int64_t length) KERNEL_LAMBDA {
      forEachAlignedVector((const S*)local.gradInput + position, length, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
        store((S*)local.gradInput + position + i, gradientVector<S, source>(local, position + i, coefficients, lanes), lanes);
      });
    });
  }
};

template <class S>
void rowGradient(const BackwardTensors& tensors, const RowRange& range, const BackwardAffine& affine) {
  dispatchBackward(tensors, RowGradient<S>{tensors, range, affine});
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
