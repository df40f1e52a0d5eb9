// The activations of the public interface. leakyRelu has slope 0.01, elu alpha 1, gelu is the exact one (erf).
#pragma once

#include <cstdint>

namespace cuda_batchnorm {

// The numbers are shared with lib/addon.ts.
enum class Activation : int32_t { Identity = 0, Relu, LeakyRelu, Elu, Sigmoid, Tanh, Silu, Gelu };

constexpr int32_t kActivationCount = 8;

// Whether the gradient needs only the sign of the pre-activation, so that one flag per element can stand for the residual.
constexpr bool gradientNeedsOnlySign(Activation activation) {
  return activation == Activation::Relu || activation == Activation::LeakyRelu;
}

}  // namespace cuda_batchnorm
