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

template <class S, int V>
DEVICE void addAll(Compute<S> (&values)[V], const Pack<S, V>& pack) {
  Compute<S> others[V];
  widenAll(pack, others);
  UNROLL
  for (int e = 0; e < V; ++e) values[e] += others[e];
}

// affineAt(e) gives the coefficients of the slot's element e. Sets `bits`, where there is a mask, of those whose pre-activation is not
// below or at 0.
template <ActivationKind kind, class S, int V, class AffineAt>
DEVICE Pack<S, V> forwardPack(const ForwardTensors& tensors, const Pack<S, V>& input, const Pack<S, V>& residual, const AffineAt& affineAt,
                              uint32_t& bits) {
  using C = Compute<S>;
  C z[V];
  widenAll(input, z);
  UNROLL
  for (int e = 0; e < V; ++e) z[e] = affineAt(e).apply(z[e]);
  if (tensors.residual != nullptr) addAll(z, residual);
  bits = 0;
  if (kind != ActivationKind::Identity && tensors.mask != nullptr) {
    UNROLL
    for (int e = 0; e < V; ++e) bits |= (isPositive(tensors.activation, z[e]) ? 1u : 0u) << e;
  }
  UNROLL
  for (int e = 0; e < V; ++e) z[e] = activate<kind>(tensors.activation, z[e]);
  return narrowed<S, V>(z);
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

// The elements of a slot: x, whose distance from the mean backward takes, and the gradient dz at the pre-activation. affineAt(e) gives the
// forward coefficients. What kind of pass it is, is asked once for all elements.
template <ActivationKind kind, class S, int V>
struct Gradients {
  using C = Compute<S>;
  C x[V], dz[V];

  template <class AffineAt>
  DEVICE Gradients(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, const AffineAt& affineAt) {
    widenAll(packs.input, x);
    widenAll(packs.gradOutput, dz);
    if (kind == ActivationKind::Identity) return;
    if (isRectified<kind>(tensors)) {
      fromOutput(tensors);
    } else if (tensors.mask != nullptr) {
      fromMask(tensors, packs.bits);
    } else {
      fromPreActivation(tensors, packs, affineAt);
    }
  }

 private:
  DEVICE void fromOutput(const BackwardTensors& tensors) {
    UNROLL
    for (int e = 0; e < V; ++e) {
      x[e] = beforeLeakyRelu(x[e]);
      dz[e] = sideGradient(tensors.activation, x[e] > C{0}, dz[e]);
    }
  }

  DEVICE void fromMask(const BackwardTensors& tensors, uint32_t bits) {
    UNROLL
    for (int e = 0; e < V; ++e) dz[e] = sideGradient(tensors.activation, (bits >> e & 1) != 0, dz[e]);
  }

  template <class AffineAt>
  DEVICE void fromPreActivation(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, const AffineAt& affineAt) {
    C z[V];
    UNROLL
    for (int e = 0; e < V; ++e) z[e] = affineAt(e).apply(x[e]);
    if (tensors.residual != nullptr) addAll(z, packs.residual);
    UNROLL
    for (int e = 0; e < V; ++e) dz[e] = activationGradient<kind>(tensors.activation, z[e], dz[e]);
  }
};

// The gradient at the pre-activation of element e, whose value is x, for activations that may be smooth.
template <ActivationKind kind, class S, int V>
DEVICE Compute<S> smoothGradient(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, int e, Compute<S> x,
                                 const Affine<Compute<S>>& affine) {
  const Compute<S> gradient = widen(packs.gradOutput.get(e));
  if (kind == ActivationKind::Any && tensors.mask != nullptr) {
    return sideGradient(tensors.activation, (packs.bits >> e & 1) != 0, gradient);
  }
  if (isRectified<kind>(tensors)) return sideGradient(tensors.activation, x > Compute<S>{0}, gradient);
  Compute<S> z = affine.apply(x);
  if (tensors.residual != nullptr) z += widen(packs.residual.get(e));
  return activationGradient<kind>(tensors.activation, z, gradient);
}

// Calls use(e, x, dz) for all elements. Smooth activations want the registers for themselves, and have one element after the other.
template <ActivationKind kind, class S, int V, class AffineAt, class Use>
DEVICE void forGradients(const BackwardTensors& tensors, const BackwardPacks<S, V>& packs, const AffineAt& affineAt, const Use& use) {
  if constexpr (kind >= ActivationKind::Smooth) {
    UNROLL
    for (int e = 0; e < V; ++e) {
      const Compute<S> stored = widen(packs.input.get(e));
      const Compute<S> x = isRectified<kind>(tensors) ? beforeLeakyRelu(stored) : stored;
      use(e, x, smoothGradient<kind>(tensors, packs, e, x, affineAt(e)));
    }
  } else {
    const Gradients<kind, S, V> of(tensors, packs, affineAt);
    UNROLL
    for (int e = 0; e < V; ++e) use(e, of.x[e], of.dz[e]);
  }
}

// Of values that come one after the other: as they are, to be narrowed by twos, or narrowed at once where registers are few.
template <class S, int V, bool atOnce>
struct Narrowing {
  Compute<S> values[V];
  DEVICE void set(int e, Compute<S> value) { values[e] = value; }
  DEVICE Pack<S, V> pack() const { return narrowed<S, V>(values); }
};
template <class S, int V>
struct Narrowing<S, V, true> {
  Pack<S, V> done = {};
  DEVICE void set(int e, Compute<S> value) { done.set(e, narrow<S>(value)); }
  DEVICE Pack<S, V> pack() const { return done; }
};

// Writes the gradients of the slot's elements; affineAt(e) gives their coefficients. Constant statistics do not depend on x, so its NaN and
// infinities stay out.
template <ActivationKind kind, bool constantStatistics, class S, int V, class Slot, class AffineAt>
DEVICE void storeGradients(const BackwardTensors& tensors, const Slot& slot, const BackwardPacks<S, V>& packs, const AffineAt& affineAt) {
  using C = Compute<S>;
  Narrowing<S, V, (kind >= ActivationKind::Smooth)> gradInput, gradResidual;
  const auto take = [&](int e, C x, C dz) {
    const BackwardAffine<C> affine = affineAt(e);
    const C ofMean = multiplyAdd(x - affine.forward.mean, affine.slope, affine.offset);
    gradResidual.set(e, dz);
    gradInput.set(e, constantStatistics ? dz * affine.forward.scale : multiplyAdd(dz, affine.forward.scale, ofMean));
  };
  forGradients<kind>(
      tensors, packs, [&](int e) { return affineAt(e).forward; }, take);
  storeSlot(static_cast<S*>(tensors.gradInput), slot, gradInput.pack());
  if (tensors.gradResidual != nullptr) storeSlot(static_cast<S*>(tensors.gradResidual), slot, gradResidual.pack());
}

}  // namespace cuda_batchnorm::cuda
