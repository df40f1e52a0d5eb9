// Activations and their gradients on vectors. Those of little arithmetic are chosen at compile time; the others branch per vector, which
// costs little beside theirs. NaN passes through as in PyTorch.

#pragma once

#include "../../core/activation.h"
#include "vector_math.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

enum class ActivationKind { Identity, Relu, LeakyRelu, Other };

// `value` where z is above 0, a hundredth of it elsewhere: leakyRelu itself, or a gradient that goes back through it.
template <class V>
KERNEL_INLINE V leaky(V z, V value) {
  return select(z > 0, value, value * (decltype(value[0] + 0))0.01);
}

template <class V>
KERNEL_INLINE V otherActivation(Activation activation, V z) {
  switch (activation) {
    case Activation::Elu:
      return select(z > 0, z, exponentialMinusOne(z));
    case Activation::Sigmoid:
      return sigmoid(z);
    case Activation::Tanh:
      return hyperbolicTangent(z);
    case Activation::Silu:
      return z * sigmoid(z);
    case Activation::Gelu:
      return z * normalDistribution(z);
    default:
      return z;
  }
}

template <ActivationKind kind, class V>
KERNEL_INLINE V activate(Activation activation, V z) {
  if constexpr (kind == ActivationKind::Identity) return z;
  if constexpr (kind == ActivationKind::Relu) return select(z <= 0, V{}, z);
  if constexpr (kind == ActivationKind::LeakyRelu) return leaky(z, z);
  if constexpr (kind == ActivationKind::Other) return otherActivation(activation, z);
}

// d activation / d z.
template <class V>
KERNEL_INLINE V otherDerivative(Activation activation, V z) {
  const V one = broadcast((decltype(z[0] + 0))1);
  switch (activation) {
    case Activation::Elu:
      return select(z > 0, one, exponential(z));
    case Activation::Sigmoid: {
      const V s = sigmoid(z);
      return s * (one - s);
    }
    case Activation::Tanh: {
      const V t = hyperbolicTangent(z);
      return one - t * t;
    }
    case Activation::Silu: {
      const V s = sigmoid(z);
      return s * multiplyAdd(z, one - s, one);
    }
    case Activation::Gelu:
      return multiplyAdd(z, normalDensity(z), normalDistribution(z));
    default:
      return one;
  }
}

template <ActivationKind kind, class V>
KERNEL_INLINE V activationGradient(Activation activation, V z, V gradient) {
  if constexpr (kind == ActivationKind::Identity) return gradient;
  if constexpr (kind == ActivationKind::Relu) return select(z <= 0, V{}, gradient);
  if constexpr (kind == ActivationKind::LeakyRelu) return leaky(z, gradient);
  if constexpr (kind == ActivationKind::Other) return gradient * otherDerivative(activation, z);
}

// What leakyRelu made y of.
template <class V>
KERNEL_INLINE V beforeLeakyRelu(V y) {
  return select(y > 0, y, y * (decltype(y[0] + 0))100);
}

// The gradient of relu or leakyRelu from the saved signs.
template <class M, class V>
KERNEL_INLINE V maskedGradient(Activation activation, M positive, V gradient) {
  const V negative = activation == Activation::Relu ? V{} : gradient * (decltype(gradient[0] + 0))0.01;
  return select(positive, gradient, negative);
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
