// Vectors of the compute types, as wide as the instruction set this file is compiled for. Included only by the per-instruction-set
// sources, inside their own namespace (KERNEL_NAMESPACE), and free of standard library templates: an inline function compiled with
// wide instructions must never be the copy that the linker keeps for everybody.
//
// Every operation is one IEEE operation per lane, and tails go through the same code as full vectors, so a value's result does not
// depend on where in a row it lies.

#pragma once

#include <stdint.h>
#include <string.h>

#include "../../core/dtype.h"

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define KERNEL_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define KERNEL_VECTOR_BYTES 32
#else
#define KERNEL_VECTOR_BYTES 16
#endif

#define KERNEL_INLINE inline __attribute__((always_inline))
#define KERNEL_LAMBDA __attribute__((always_inline))

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

typedef float FloatVector __attribute__((vector_size(KERNEL_VECTOR_BYTES)));
typedef double DoubleVector __attribute__((vector_size(KERNEL_VECTOR_BYTES)));
typedef int32_t Int32Vector __attribute__((vector_size(KERNEL_VECTOR_BYTES)));
typedef uint32_t Uint32Vector __attribute__((vector_size(KERNEL_VECTOR_BYTES)));
typedef int64_t Int64Vector __attribute__((vector_size(KERNEL_VECTOR_BYTES)));
typedef uint16_t HalfWidthVector __attribute__((vector_size(KERNEL_VECTOR_BYTES / 2)));
typedef uint8_t QuarterWidthVector __attribute__((vector_size(KERNEL_VECTOR_BYTES / 4)));
typedef uint8_t EighthWidthVector __attribute__((vector_size(KERNEL_VECTOR_BYTES / 8)));

// The same in memory, where nothing is aligned. Not memcpy: that may alias anything, and would keep every pointer and coefficient of
// a loop from staying in its register.
typedef float FloatMemory __attribute__((vector_size(KERNEL_VECTOR_BYTES), aligned(4)));
typedef double DoubleMemory __attribute__((vector_size(KERNEL_VECTOR_BYTES), aligned(8)));
typedef uint16_t HalfWidthMemory __attribute__((vector_size(KERNEL_VECTOR_BYTES / 2), aligned(2)));

template <class C>
struct Simd;

template <>
struct Simd<float> {
  using Vector = FloatVector;
  using Mask = Int32Vector;
  using Bytes = QuarterWidthVector;
  static constexpr int kWidth = KERNEL_VECTOR_BYTES / 4;
};

template <>
struct Simd<double> {
  using Vector = DoubleVector;
  using Mask = Int64Vector;
  using Bytes = EighthWidthVector;
  static constexpr int kWidth = KERNEL_VECTOR_BYTES / 8;
};

// The type a stored element is computed in.
template <class S>
struct ComputeType {
  using Type = float;
};
template <>
struct ComputeType<double> {
  using Type = double;
};
template <class S>
using Compute = typename ComputeType<S>::Type;
template <class S>
using VectorOf = typename Simd<Compute<S>>::Vector;

KERNEL_INLINE FloatVector broadcast(float value) { return value - FloatVector{}; }
KERNEL_INLINE DoubleVector broadcast(double value) { return value - DoubleVector{}; }

// a * b + c, rounded once where the instruction set can; -ffp-contract=off keeps every other product and sum apart.
KERNEL_INLINE FloatVector multiplyAdd(FloatVector a, FloatVector b, FloatVector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#elif defined(__ARM_NEON)
  return (FloatVector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

KERNEL_INLINE DoubleVector multiplyAdd(DoubleVector a, DoubleVector b, DoubleVector c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_pd(a, b, c);
#elif defined(__ARM_NEON)
  return (DoubleVector)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  return a * b + c;
#endif
}

KERNEL_INLINE DoubleVector squareRoot(DoubleVector x) {
#if defined(__AVX512F__)
  return _mm512_sqrt_pd(x);
#elif defined(__AVX2__)
  return _mm256_sqrt_pd(x);
#elif defined(__SSE2__)
  return _mm_sqrt_pd(x);
#elif defined(__ARM_NEON)
  return (DoubleVector)vsqrtq_f64((float64x2_t)x);
#else
  for (int i = 0; i < (int)(sizeof x / sizeof x[0]); ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
#endif
}

// Lanes of `a` where the mask is set, of `b` elsewhere.
template <class M, class V>
KERNEL_INLINE V select(M mask, V a, V b) {
  return (V)((mask & (M)a) | (~mask & (M)b));
}

// ---- half types ----

KERNEL_INLINE FloatVector widenBFloat16(HalfWidthVector bits) { return (FloatVector)(__builtin_convertvector(bits, Uint32Vector) << 16); }

KERNEL_INLINE HalfWidthVector narrowBFloat16(FloatVector value) {
  const Uint32Vector bits = (Uint32Vector)value;
  const Uint32Vector rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Uint32Vector quiet = (bits >> 16) | 0x40;
  return __builtin_convertvector(select(value != value, quiet, rounded), HalfWidthVector);
}

KERNEL_INLINE FloatVector widenFloat16(HalfWidthVector bits) {
#if defined(__AVX512F__)
  return _mm512_cvtph_ps((__m256i)bits);
#elif defined(__AVX2__)
  return _mm256_cvtph_ps((__m128i)bits);
#else
  const Uint32Vector wide = __builtin_convertvector(bits, Uint32Vector);
  const Uint32Vector sign = (wide & 0x8000) << 16;
  const Uint32Vector magnitude = wide & 0x7fff;
  const FloatVector rebased = (FloatVector)(magnitude << 13) * broadcast(0x1p112f);
  const Uint32Vector special = 0x7f800000 | ((magnitude & 0x3ff) << 13) | ((Uint32Vector)((magnitude & 0x3ff) != 0) & 0x400000);
  return (FloatVector)(sign | select((Int32Vector)(magnitude >= 0x7c00), special, (Uint32Vector)rebased));
#endif
}

KERNEL_INLINE HalfWidthVector narrowFloat16(FloatVector value) {
#if defined(__AVX512F__)
  return (HalfWidthVector)_mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (HalfWidthVector)_mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const Uint32Vector bits = (Uint32Vector)value;
  const Uint32Vector sign = (bits >> 16) & 0x8000;
  const Uint32Vector magnitude = bits & 0x7fffffff;
  const Uint32Vector normal = (magnitude + 0xfff + ((magnitude >> 13) & 1) - 0x38000000) >> 13;
  const Uint32Vector subnormal = (Uint32Vector)((FloatVector)magnitude + broadcast(0.5f)) - 0x3f000000;
  const Uint32Vector infinity = Uint32Vector{} + 0x7c00;
  const Uint32Vector nan = 0x7e00 | ((magnitude >> 13) & 0x1ff);
  Uint32Vector result = select((Int32Vector)(magnitude < 0x38800000), subnormal, normal);
  result = select((Int32Vector)(magnitude >= 0x477ff000), infinity, result);
  result = select((Int32Vector)(magnitude > 0x7f800000), nan, result);
  return __builtin_convertvector(sign | result, HalfWidthVector);
#endif
}

// ---- loads and stores of stored elements ----

KERNEL_INLINE FloatVector load(const float* source) { return *(const FloatMemory*)source; }
KERNEL_INLINE DoubleVector load(const double* source) { return *(const DoubleMemory*)source; }
KERNEL_INLINE FloatVector load(const Float16* source) { return widenFloat16(*(const HalfWidthMemory*)source); }
KERNEL_INLINE FloatVector load(const BFloat16* source) { return widenBFloat16(*(const HalfWidthMemory*)source); }

KERNEL_INLINE void store(float* destination, FloatVector value) { *(FloatMemory*)destination = value; }
KERNEL_INLINE void store(double* destination, DoubleVector value) { *(DoubleMemory*)destination = value; }
KERNEL_INLINE void store(Float16* destination, FloatVector value) { *(HalfWidthMemory*)destination = narrowFloat16(value); }
KERNEL_INLINE void store(BFloat16* destination, FloatVector value) { *(HalfWidthMemory*)destination = narrowBFloat16(value); }

// The same past the caches, to addresses that are multiples of the vector's size; where there is no such instruction, or an element is
// half a lane, a plain store. finishStores() makes them visible to other threads.
template <class S>
KERNEL_INLINE void storePastCaches(S* destination, VectorOf<S> value) {
  store(destination, value);
}
KERNEL_INLINE void finishStores() {
#if defined(__AVX2__) || defined(__AVX512F__)
  _mm_sfence();
#endif
}
#if defined(__AVX512F__)
KERNEL_INLINE void storePastCaches(float* destination, FloatVector value) { _mm512_stream_ps(destination, value); }
KERNEL_INLINE void storePastCaches(double* destination, DoubleVector value) { _mm512_stream_pd(destination, value); }
#elif defined(__AVX2__)
KERNEL_INLINE void storePastCaches(float* destination, FloatVector value) { _mm256_stream_ps(destination, value); }
KERNEL_INLINE void storePastCaches(double* destination, DoubleVector value) { _mm256_stream_pd(destination, value); }
#endif

// The first `count` lanes, 0 < count < width; the others read as zero and are not written.
template <class S>
KERNEL_INLINE VectorOf<S> loadPartial(const S* source, int64_t count) {
  S lanes[Simd<Compute<S>>::kWidth];
  memset(lanes, 0, sizeof lanes);
  for (int64_t i = 0; i < count; ++i) lanes[i] = source[i];
  return load(lanes);
}

template <class S>
KERNEL_INLINE void storePartial(S* destination, VectorOf<S> value, int64_t count) {
  S lanes[Simd<Compute<S>>::kWidth];
  store(lanes, value);
  for (int64_t i = 0; i < count; ++i) destination[i] = lanes[i];
}

#if defined(__AVX512F__)
KERNEL_INLINE FloatVector loadPartial(const float* source, int64_t count) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), source);
}
KERNEL_INLINE void storePartial(float* destination, FloatVector value, int64_t count) {
  _mm512_mask_storeu_ps(destination, (__mmask16)((1u << count) - 1), value);
}
KERNEL_INLINE DoubleVector loadPartial(const double* source, int64_t count) {
  return _mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), source);
}
KERNEL_INLINE void storePartial(double* destination, DoubleVector value, int64_t count) {
  _mm512_mask_storeu_pd(destination, (__mmask8)((1u << count) - 1), value);
}
#elif defined(__AVX2__)
KERNEL_INLINE __m256i firstLanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
KERNEL_INLINE FloatVector loadPartial(const float* source, int64_t count) { return _mm256_maskload_ps(source, firstLanes(count)); }
KERNEL_INLINE void storePartial(float* destination, FloatVector value, int64_t count) {
  _mm256_maskstore_ps(destination, firstLanes(count), value);
}
#endif

// All bits set in the first `count` lanes.
KERNEL_INLINE Int32Vector lanesBelow(int64_t count, FloatVector) {
  Int32Vector index;
  for (int i = 0; i < Simd<float>::kWidth; ++i) index[i] = i;
  return index < (int32_t)count;
}
KERNEL_INLINE Int64Vector lanesBelow(int64_t count, DoubleVector) {
  Int64Vector index;
  for (int i = 0; i < Simd<double>::kWidth; ++i) index[i] = i;
  return index < count;
}

// Sum of the lanes, in a fixed order: floats down to four, the rest in double.
KERNEL_INLINE double sumLanes(DoubleVector vector) {
  double lanes[Simd<double>::kWidth];
  store(lanes, vector);
  double sum = lanes[0] + lanes[1];
  for (int i = 2; i < Simd<double>::kWidth; i += 2) sum += lanes[i] + lanes[i + 1];
  return sum;
}

typedef float FourFloats __attribute__((vector_size(16)));

KERNEL_INLINE double sumLanes(FloatVector vector) {
#if defined(__AVX512F__)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(vector), _mm512_extractf32x8_ps(vector, 1));
  const FourFloats four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
#elif defined(__AVX2__)
  const FourFloats four = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps(vector, 1));
#else
  const FourFloats four = vector;
#endif
  return ((double)four[0] + (double)four[1]) + ((double)four[2] + (double)four[3]);
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
