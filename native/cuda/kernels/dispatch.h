// From what is known when a program runs to what is known when it is compiled.
#pragma once

#include "../../core/activation.h"
#include "../../core/dtype.h"
#include "launch.h"

namespace cuda_batchnorm::cuda {

// What an activation costs only those should pay who want it: identity nothing at all, a rectifier little beside memory, the others code
// and registers. `Any` can do all of them, and is for the accesses that are rare.
enum class ActivationKind { Identity, Rectified, Smooth, Any };

inline ActivationKind kindOf(Activation activation) {
  if (activation == Activation::Identity) return ActivationKind::Identity;
  return activation == Activation::Relu || activation == Activation::LeakyRelu ? ActivationKind::Rectified : ActivationKind::Smooth;
}

struct KernelChoice {
  DType dtype = DType::Float32;
  bool wide = true;   // 16-byte accesses; else an element at a time, for tensors at odd addresses
  bool whole = true;  // no access is filled in part
  LaunchShape shape;
};

// What a kernel is compiled for: V elements of an access.
template <int V, bool isWhole, ActivationKind activationKind>
struct Variant {
  static constexpr int width = V;
  static constexpr bool whole = isWhole;
  static constexpr ActivationKind kind = activationKind;
};

// Calls body(S()): the element type.
template <class Body>
void forElement(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::Float32:
      return body(float());
    case DType::Float16:
      return body(Float16());
    case DType::Float64:
      return body(double());
    case DType::BFloat16:
      return body(BFloat16());
  }
}

// Calls body(S(), Variant()), for kernels whose accesses are always whole and 16 bytes wide.
template <class Body>
void forWholeVariant(const KernelChoice& choice, Activation activation, const Body& body) {
  forElement(choice.dtype, [&](auto element) {
    constexpr int kWidth = 16 / sizeof(element);
    switch (kindOf(activation)) {
      case ActivationKind::Identity:
        return body(element, Variant<kWidth, true, ActivationKind::Identity>());
      case ActivationKind::Rectified:
        return body(element, Variant<kWidth, true, ActivationKind::Rectified>());
      default:
        return body(element, Variant<kWidth, true, ActivationKind::Smooth>());
    }
  });
}

// The same for those whose accesses may be single elements.
template <class Body>
void forWideOrNarrow(const KernelChoice& choice, Activation activation, const Body& body) {
  if (choice.wide) return forWholeVariant(choice, activation, body);
  forElement(choice.dtype, [&](auto element) { body(element, Variant<1, true, ActivationKind::Any>()); });
}

// The same for those whose accesses may also be filled in part.
template <class Body>
void forVariant(const KernelChoice& choice, Activation activation, const Body& body) {
  if (!choice.wide || choice.whole) return forWideOrNarrow(choice, activation, body);
  forElement(choice.dtype, [&](auto element) { body(element, Variant<16 / sizeof(element), false, ActivationKind::Any>()); });
}

}  // namespace cuda_batchnorm::cuda
