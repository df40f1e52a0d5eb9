// What is done to the elements of one access: the forward transform, the gradient at the pre-activation, the input gradient; and the
// mask, one bit per element, that stands for the side of 0 on which the pre-activation fell.
#pragma once

#include "activation.cuh"
#include "channel.cuh"
#include "slots.cuh"

namespace cuda_batchnorm::cuda {

// Whether registers are wanted for more than what is on its way from memory: smooth activations of eight values or of doubles want them,
// and so do the coefficients of two channels beside eight values.
template <ActivationKind kind, class C, int V, int parts>
constexpr bool kCrowded = (kind >= ActivationKind::Smooth && (V == 8 || sizeof(C) == 8)) || (V == 8 && parts == 2);

// Bits of the slot's elements, from the lowest. An access never straddles bytes: its first element's index is a multiple of V.
template <class Slot>
DEVICE uint32_t loadMask(const uint8_t* mask, const Slot& slot) {
  if (!slot.some()) return 0;
  return static_cast<uint32_t>(loadReadOnly(mask + slot.offset / 8)) >> (slot.offset % 8);
}

// All lanes of the warp take part, and lane l + 1 has the slot after lane l's wherever they share a byte.
template <int V, class Slot>
DEVICE void storeMask(uint8_t* mask, const Slot& slot, uint32_t bits) {
  constexpr uint32_t kLanes = 8 / V;  // that share a byte
  bits <<= laneIndex() % kLanes * V;
  UNROLL
  for (uint32_t step = 1; step < kLanes; step <<= 1) bits |= shuffleXor(bits, step);
  if (laneIndex() % kLanes == 0 && slot.some()) storeGlobal(mask + slot.offset / 8, static_cast<uint8_t>(bits));
}

// affineAt(e) gives the coefficients of the slot's element e. Sets `bits` where the pre-activation is not below or at 0.
template <ActivationKind kind, class S, int V, class AffineAt>
DEVICE Pack<S, V> forwardPack(const ForwardTensors& tensors, const Pack<S, V>& input, const Pack<S, V>& residual, const AffineAt& affineAt,
                              uint32_t& bits) {
  using C = Compute<S>;
  Pack<S, V> output;
  bits = 0;
  UNROLL
  for (int e = 0; e < V; ++e) {
    C z = affineAt(e).apply(widen(input.values[e]));
    if (tensors.residual != nullptr) z += widen(residual.values[e]);
    if (kind != ActivationKind::Identity) bits |= (isPositive(tensors.activation, z) ? 1u : 0u) << e;
    output.values[e] = narrow<S>(activate<kind>(tensors.activation, z));
  }
  return output;
}

// Zeros where there is no such tensor.
template <class S, int V, class Slot>
DEVICE Pack<S, V> loadOptional(const void* tensor, const Slot& slot) {
  if (tensor == nullptr) return {};
  return loadSlot<S, V>(static_cast<const S*>(tensor), slot);
}

// What backward reads of one slot.
template <class S, int V>
struct BackwardPacks {
  Pack<S, V> input, gradOutput, residual;
  uint32_t bits;

  template <class Slot>
  DEVICE void load(const BackwardTensors& tensors, const Slot& slot) {
    input = loadOptional<S, V>(tensors.input, slot);
    gradOutput = loadSlot<S, V>(static_cast<const S*>(tensors.gradOutput), slot);
    loadSides(tensors, slot);
  }

  // What tells on which side of 0 the pre-activation fell, but for the input.
  template <class Slot>
  DEVICE void loadSides(const BackwardTensors& tensors, const Slot& slot) {
    residual = loadOptional<S, V>(tensors.mask == nullptr ? tensors.residual : nullptr, slot);
    bits = tensors.mask == nullptr ? 0 : loadMask(tensors.mask, slot);
  }
};

// Whether the output, rectified, is in the input's place.
template <ActivationKind kind>
DEVICE bool isRectified(const BackwardTensors& tensors) {
  const bool possible = kind == ActivationKind::Rectified || kind == ActivationKind::Any;
  return possible && tensors.inPlace && tensors.activation == Activation::LeakyRelu;
}

// The value x of element e, whose distance from the mean backward takes.
template <ActivationKind kind, class S, int V>
DEVICE Compute<S> inputOf(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, int e) {
  const Compute<S> x = widen(packs.input.values[e]);
  return isRectified<kind>(tensors) ? beforeLeakyRelu(x) : x;
}

// The gradient at the pre-activation of element e, whose value is x.
template <ActivationKind kind, class S, int V>
DEVICE Compute<S> preActivationGradient(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, int e, Compute<S> x,
                                        const Affine<Compute<S>>& affine) {
  using C = Compute<S>;
  const C gradient = widen(packs.gradOutput.values[e]);
  if (kind == ActivationKind::Identity) return gradient;
  if (kind != ActivationKind::Smooth && tensors.mask != nullptr) {
    return sideGradient(tensors.activation, (packs.bits >> e & 1) != 0, gradient);
  }
  if (isRectified<kind>(tensors)) return sideGradient(tensors.activation, x > C{0}, gradient);
  C z = affine.apply(x);
  if (tensors.residual != nullptr) z += widen(packs.residual.values[e]);
  return activationGradient<kind>(tensors.activation, z, gradient);
}

template <class C>
DEVICE C inputGradient(const BackwardTensors& tensors, C x, C dz, const BackwardAffine<C>& affine) {
  // Constant statistics do not depend on x, so its NaN and infinities stay out.
  if (tensors.constantStatistics) return dz * affine.forward.scale;
  return multiplyAdd(dz, affine.forward.scale, multiplyAdd(x - affine.forward.mean, affine.slope, affine.offset));
}

// Writes the gradients of the slot's elements; affineAt(e) gives their coefficients.
template <ActivationKind kind, class S, int V, class Slot, class AffineAt>
DEVICE void storeGradients(const BackwardTensors& tensors, const Slot& slot, const BackwardPacks<S, V>& packs, const AffineAt& affineAt) {
  using C = Compute<S>;
  Pack<S, V> gradInput, gradResidual;
  UNROLL
  for (int e = 0; e < V; ++e) {
    const BackwardAffine<C> affine = affineAt(e);
    const C x = inputOf<kind>(tensors, packs, e);
    const C dz = preActivationGradient<kind>(tensors, packs, e, x, affine.forward);
    gradResidual.values[e] = narrow<S>(dz);
    gradInput.values[e] = narrow<S>(inputGradient(tensors, x, dz, affine));
  }
  storeSlot(static_cast<S*>(tensors.gradInput), slot, gradInput);
  if (tensors.gradResidual != nullptr) storeSlot(static_cast<S*>(tensors.gradResidual), slot, gradResidual);
}

}  // namespace cuda_batchnorm::cuda
