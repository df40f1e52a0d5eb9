// Activations and their gradients. NaN passes through as in PyTorch.
#pragma once

#include <math.h>

#include "../../core/activation.h"
#include "dispatch.h"
#include "element.cuh"

namespace cuda_batchnorm::cuda {

template <class C>
constexpr C kLeakySlope = static_cast<C>(0.01);

DEVICE float exponential(float x) { return expf(x); }
DEVICE double exponential(double x) { return exp(x); }
DEVICE float exponentialMinusOne(float x) { return expm1f(x); }
DEVICE double exponentialMinusOne(double x) { return expm1(x); }
DEVICE float hyperbolicTangent(float x) { return tanhf(x); }
DEVICE double hyperbolicTangent(double x) { return tanh(x); }
// The normal distribution function and its density.
DEVICE float normalDistribution(float x) { return 0.5f * erfcf(x * -0.70710678f); }
DEVICE double normalDistribution(double x) { return 0.5 * erfc(x * -0.70710678118654752); }
template <class C>
DEVICE C normalDensity(C x) {
  return static_cast<C>(0.39894228040143268) * exponential(static_cast<C>(-0.5) * x * x);
}
template <class C>
DEVICE C sigmoid(C x) {
  return C{1} / (C{1} + exponential(-x));
}

// What relu and leakyRelu make of a value, or of a gradient, below 0. Selected and not branched for: it is done to every element.
template <class C>
DEVICE C below(Activation activation, C value) {
  const C less = value * kLeakySlope<C>;
  return activation == Activation::Relu ? C{0} : less;
}

template <class C>
DEVICE C rectify(Activation activation, C z) {
  const C low = below(activation, z);
  return z <= C{0} ? low : z;
}

template <ActivationKind kind, class C>
DEVICE C activate(Activation activation, C z) {
  if (kind == ActivationKind::Identity) return z;
  if (kind == ActivationKind::Rectified) return rectify(activation, z);
  switch (activation) {
    case Activation::Elu:
      return z > C{0} ? z : exponentialMinusOne(z);
    case Activation::Sigmoid:
      return sigmoid(z);
    case Activation::Tanh:
      return hyperbolicTangent(z);
    case Activation::Silu:
      return z * sigmoid(z);
    case Activation::Gelu:
      return z * normalDistribution(z);
    case Activation::Identity:
      return z;
    default:
      return rectify(activation, z);
  }
}

// The side of 0 that counts for the gradient. NaN is above it for relu and below it for leakyRelu, as in PyTorch.
template <class C>
DEVICE bool isPositive(Activation activation, C z) {
  const bool isNaN = z != z;
  return z > C{0} || (isNaN && activation == Activation::Relu);
}

// What leakyRelu made y of.
template <class C>
DEVICE C beforeLeakyRelu(C y) {
  return y > C{0} ? y : y * C{100};
}

// The gradient of a piecewise linear activation, given on which side of 0 its argument lies.
template <class C>
DEVICE C sideGradient(Activation activation, bool positive, C gradient) {
  const C low = below(activation, gradient);
  return positive ? gradient : low;
}

// The gradient at z, given the one at activate(z).
template <ActivationKind kind, class C>
DEVICE C activationGradient(Activation activation, C z, C gradient) {
  if (kind == ActivationKind::Identity) return gradient;
  if (kind == ActivationKind::Rectified) return sideGradient(activation, isPositive(activation, z), gradient);
  switch (activation) {
    case Activation::Elu:
      return z > C{0} ? gradient : gradient * exponential(z);
    case Activation::Sigmoid: {
      const C s = sigmoid(z);
      return gradient * (s * (C{1} - s));
    }
    case Activation::Tanh: {
      const C t = hyperbolicTangent(z);
      return gradient * (C{1} - t * t);
    }
    case Activation::Silu: {
      const C s = sigmoid(z);
      return gradient * (s * multiplyAdd(z, C{1} - s, C{1}));
    }
    case Activation::Gelu:
      return gradient * multiplyAdd(z, normalDensity(z), normalDistribution(z));
    case Activation::Identity:
      return gradient;
    default:
      return sideGradient(activation, isPositive(activation, z), gradient);
  }
}

}  // namespace cuda_batchnorm::cuda
