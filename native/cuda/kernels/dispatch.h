// From what is known when a program runs to what is known when it is compiled.
#pragma once

#include "../../core/activation.h"
#include "../../core/dtype.h"
#include "launch.h"

namespace cuda_batchnorm::cuda {

// Piecewise linear activations cost nothing beside memory; the others bring code and registers that only they should pay for.
enum class ActivationKind { Linear, Smooth };

inline ActivationKind kindOf(Activation activation) {
  const bool linear = activation == Activation::Identity || activation == Activation::Relu || activation == Activation::LeakyRelu;
  return linear ? ActivationKind::Linear : ActivationKind::Smooth;
}

struct KernelChoice {
  DType dtype = DType::Float32;
  bool wide = true;  // 16-byte accesses; else an element at a time, for tensors at odd addresses
  LaunchShape shape;
};

template <int V>
struct Width {
  static constexpr int value = V;
};

template <class S, class Body>
void forWidth(bool wide, const Body& body) {
  if (wide) {
    body(S(), Width<16 / sizeof(S)>());
  } else {
    body(S(), Width<1>());
  }
}

// Calls body(S(), Width<V>()): the element type and how many elements an access has.
template <class Body>
void forElement(const KernelChoice& choice, const Body& body) {
  switch (choice.dtype) {
    case DType::Float32:
      return forWidth<float>(choice.wide, body);
    case DType::Float64:
      return forWidth<double>(choice.wide, body);
    case DType::Float16:
      return forWidth<Float16>(choice.wide, body);
    case DType::BFloat16:
      return forWidth<BFloat16>(choice.wide, body);
  }
}

template <ActivationKind kind>
struct KindOf {
  static constexpr ActivationKind value = kind;
};

template <class S, class Width, class Body>
void forKind(Activation activation, S element, Width width, const Body& body) {
  if (kindOf(activation) == ActivationKind::Linear) {
    body(element, width, KindOf<ActivationKind::Linear>());
  } else {
    body(element, width, KindOf<ActivationKind::Smooth>());
  }
}

// The same with the kind of the activation: body(S(), Width<V>(), KindOf<kind>()).
template <class Body>
void forElementAndKind(const KernelChoice& choice, Activation activation, const Body& body) {
  forElement(choice, [&](auto element, auto width) { forKind(activation, element, width, body); });
}

// For kernels whose accesses are always 16 bytes wide.
template <class Body>
void forWideElementAndKind(const KernelChoice& choice, Activation activation, const Body& body) {
  switch (choice.dtype) {
    case DType::Float32:
      return forKind(activation, float(), Width<4>(), body);
    case DType::Float64:
      return forKind(activation, double(), Width<2>(), body);
    case DType::Float16:
      return forKind(activation, Float16(), Width<8>(), body);
    case DType::BFloat16:
      return forKind(activation, BFloat16(), Width<8>(), body);
  }
}

}  // namespace cuda_batchnorm::cuda
