// What rows and columns do alike to one vector: the forward transform, the gradient at the pre-activation, the input gradient.

#pragma once

#include "kernels.h"
#include "vector_activation.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

// A whole vector, or the first `count` lanes of one at the end of a run.
struct Whole {};
struct Part {
  int64_t count;
};

template <class S>
KERNEL_INLINE VectorOf<S> load(const S* source, Whole) {
  return load(source);
}
template <class S>
KERNEL_INLINE VectorOf<S> load(const S* source, Part part) {
  return loadPartial(source, part.count);
}
template <class S>
KERNEL_INLINE void store(S* destination, VectorOf<S> value, Whole) {
  store(destination, value);
}
template <class S>
KERNEL_INLINE void store(S* destination, VectorOf<S> value, Part part) {
  storePartial(destination, value, part.count);
}

template <class S>
KERNEL_INLINE void storePastCaches(S* destination, VectorOf<S> value, Whole) {
  storePastCaches(destination, value);
}
template <class S>
KERNEL_INLINE void storePastCaches(S* destination, VectorOf<S> value, Part part) {
  storePartial(destination, value, part.count);
}

template <class C>
KERNEL_INLINE typename Simd<C>::Mask loadMask(const uint8_t* source, Whole) {
  typename Simd<C>::Bytes bytes;
  memcpy(&bytes, source, sizeof bytes);
  return __builtin_convertvector(bytes, typename Simd<C>::Mask) != 0;
}
template <class C>
KERNEL_INLINE typename Simd<C>::Mask loadMask(const uint8_t* source, Part part) {
  typename Simd<C>::Bytes bytes = {};
  for (int64_t i = 0; i < part.count; ++i) bytes[i] = source[i];
  return __builtin_convertvector(bytes, typename Simd<C>::Mask) != 0;
}

template <class C>
KERNEL_INLINE void storeMask(uint8_t* destination, typename Simd<C>::Mask mask, Whole) {
  const auto bytes = __builtin_convertvector(mask & 1, typename Simd<C>::Bytes);
  memcpy(destination, &bytes, sizeof bytes);
}
template <class C>
KERNEL_INLINE void storeMask(uint8_t* destination, typename Simd<C>::Mask mask, Part part) {
  for (int64_t i = 0; i < part.count; ++i) destination[i] = (uint8_t)(mask[i] & 1);
}

// Calls body(position, Whole or Part) over a run of `count` elements computed in C.
template <class C, class Body>
KERNEL_INLINE void forEachVector(int64_t count, Body body) {
  constexpr int64_t width = Simd<C>::kWidth;
  int64_t i = 0;
  for (; i + width <= count; i += width) body(i, Whole{});
  if (i < count) body(i, Part{count - i});
}

// The same for a run that is written from `destination` on: begins with a part where that makes the stores after it aligned. A store
// across two cache lines costs two.
template <class S, class Body>
KERNEL_INLINE void forEachAlignedVector(const S* destination, int64_t count, Body body) {
  constexpr int64_t width = Simd<Compute<S>>::kWidth;
  const int64_t misaligned = (int64_t)((uintptr_t)destination / sizeof(S) % (uintptr_t)width);
  int64_t head = misaligned == 0 ? 0 : width - misaligned;
  if (head > count) head = count;
  if (head > 0) body((int64_t)0, Part{head});
  forEachVector<Compute<S>>(count - head, [&](int64_t i, auto lanes) KERNEL_LAMBDA { body(head + i, lanes); });
}

template <class V>
struct AffineVectors {
  V mean, scale, shift;
  KERNEL_INLINE V apply(V x) const { return multiplyAdd(x - mean, scale, shift); }
};

template <class V>
struct BackwardVectors {
  AffineVectors<V> forward;
  V slope, offset;
};

// Perhaps: asked for each vector, so that the code of the rarer activations, which is long, is there once.
enum class Residual { No, Yes, Perhaps };

// Asks for what will be read next, into the second-level cache: the first one is for what is worked on now.
template <class S>
KERNEL_INLINE void fetchAhead(const void* tensor, int64_t i, int64_t ahead) {
  if (ahead != 0) __builtin_prefetch((const S*)tensor + i + ahead, 0, 2);
}

template <class S, ActivationKind kind, Residual residual, class Lanes>
KERNEL_INLINE VectorOf<S> forwardVector(const ForwardTensors& tensors, int64_t i, const AffineVectors<VectorOf<S>>& affine, Lanes lanes) {
  using C = Compute<S>;
  fetchAhead<S>(tensors.input, i, tensors.ahead);
  VectorOf<S> z = affine.apply(load((const S*)tensors.input + i, lanes));
  if (residual == Residual::Yes || (residual == Residual::Perhaps && tensors.residual)) {
    z += load((const S*)tensors.residual + i, lanes);
    if constexpr (kind != ActivationKind::Identity) {
      // NaN counts as above 0 for relu and as below it for leakyRelu, as in PyTorch.
      using Mask = typename Simd<C>::Mask;
      if (tensors.mask) storeMask<C>(tensors.mask + i, kind == ActivationKind::Relu ? ~(Mask)(z <= 0) : (Mask)(z > 0), lanes);
    }
  }
  return activate<kind>(tensors.activation, z);
}

// Where the gradient at the pre-activation comes from. LeakyOutput: from the output of leakyRelu, which took the input's place; that of the
// identity is the pre-activation, and Plain.
enum class GradientSource { Plain, Relu, ReluResidual, LeakyRelu, LeakyReluResidual, Other, Mask, LeakyOutput };

// Whether it takes the forward transform.
constexpr bool usesTransform(GradientSource source) {
  return source != GradientSource::Plain && source != GradientSource::Mask && source != GradientSource::LeakyOutput;
}

constexpr bool addsResidual(GradientSource source) {
  return source == GradientSource::ReluResidual || source == GradientSource::LeakyReluResidual;
}

// Of a source that takes the forward transform.
constexpr ActivationKind kindOf(GradientSource source) {
  if (source == GradientSource::Relu || source == GradientSource::ReluResidual) return ActivationKind::Relu;
  if (source == GradientSource::LeakyRelu || source == GradientSource::LeakyReluResidual) return ActivationKind::LeakyRelu;
  return ActivationKind::Other;
}

// The value x whose distance from the mean backward takes.
template <class S, GradientSource source, class Lanes>
KERNEL_INLINE VectorOf<S> loadInput(const BackwardTensors& tensors, int64_t i, Lanes lanes) {
  const VectorOf<S> x = load((const S*)tensors.input + i, lanes);
  if constexpr (source == GradientSource::LeakyOutput) return beforeLeakyRelu(x);
  return x;
}

template <class S, GradientSource source, class Lanes>
KERNEL_INLINE VectorOf<S> preActivationGradient(const BackwardTensors& tensors, int64_t i, VectorOf<S> x,
                                                const AffineVectors<VectorOf<S>>& affine, Lanes lanes) {
  const VectorOf<S> gradient = load((const S*)tensors.gradOutput + i, lanes);
  if constexpr (source == GradientSource::Plain) return gradient;
  if constexpr (source == GradientSource::Mask) {
    return maskedGradient(tensors.activation, loadMask<Compute<S>>(tensors.mask + i, lanes), gradient);
  }
  if constexpr (source == GradientSource::LeakyOutput) return leaky(x, gradient);
  VectorOf<S> z = affine.apply(x);
  if (addsResidual(source) || (source == GradientSource::Other && tensors.residual)) z += load((const S*)tensors.residual + i, lanes);
  return activationGradient<kindOf(source)>(tensors.activation, z, gradient);
}

template <class S, GradientSource source, class Lanes>
KERNEL_INLINE VectorOf<S> gradientVector(const BackwardTensors& tensors, int64_t i, const BackwardVectors<VectorOf<S>>& affine,
                                         Lanes lanes) {
  fetchAhead<S>(tensors.input, i, tensors.ahead);
  fetchAhead<S>(tensors.gradOutput, i, tensors.ahead);
  const VectorOf<S> x = loadInput<S, source>(tensors, i, lanes);
  const VectorOf<S> dz = preActivationGradient<S, source>(tensors, i, x, affine.forward, lanes);
  if (tensors.gradResidual) store((S*)tensors.gradResidual + i, dz, lanes);
  // Constant statistics do not depend on x, so its NaN and infinities stay out.
  if (tensors.constantStatistics) return dz * affine.forward.scale;
  return multiplyAdd(dz, affine.forward.scale, multiplyAdd(x - affine.forward.mean, affine.slope, affine.offset));
}

inline GradientSource gradientSource(const BackwardTensors& tensors) {
  if (tensors.activation == Activation::Identity) return GradientSource::Plain;
  if (tensors.inPlace) return GradientSource::LeakyOutput;
  if (tensors.mask) return GradientSource::Mask;
  const bool residual = tensors.residual != nullptr;
  if (tensors.activation == Activation::Relu) return residual ? GradientSource::ReluResidual : GradientSource::Relu;
  if (tensors.activation == Activation::LeakyRelu) return residual ? GradientSource::LeakyReluResidual : GradientSource::LeakyRelu;
  return GradientSource::Other;
}

template <ActivationKind kind, class Body>
inline void dispatchResidual(const ForwardTensors& tensors, const Body& body) {
  return tensors.residual ? body.template run<kind, Residual::Yes>() : body.template run<kind, Residual::No>();
}

// Calls body.template run<kind, residual>() for what the tensors ask.
template <class Body>
inline void dispatchForward(const ForwardTensors& tensors, const Body& body) {
  switch (tensors.activation) {
    case Activation::Identity:
      return dispatchResidual<ActivationKind::Identity>(tensors, body);
    case Activation::Relu:
      return dispatchResidual<ActivationKind::Relu>(tensors, body);
    case Activation::LeakyRelu:
      return dispatchResidual<ActivationKind::LeakyRelu>(tensors, body);
    default:
      return body.template run<ActivationKind::Other, Residual::Perhaps>();
  }
}

template <class Body>
inline void dispatchBackward(const BackwardTensors& tensors, const Body& body) {
  switch (gradientSource(tensors)) {
    case GradientSource::Plain:
      return body.template run<GradientSource::Plain>();
    case GradientSource::Relu:
      return body.template run<GradientSource::Relu>();
    case GradientSource::ReluResidual:
      return body.template run<GradientSource::ReluResidual>();
    case GradientSource::LeakyRelu:
      return body.template run<GradientSource::LeakyRelu>();
    case GradientSource::LeakyReluResidual:
      return body.template run<GradientSource::LeakyReluResidual>();
    case GradientSource::Other:
      return body.template run<GradientSource::Other>();
    case GradientSource::Mask:
      return body.template run<GradientSource::Mask>();
    case GradientSource::LeakyOutput:
      return body.template run<GradientSource::LeakyOutput>();
  }
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
