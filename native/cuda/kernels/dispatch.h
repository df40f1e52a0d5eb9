// From what is known when a program runs to what is known when it is compiled.
#pragma once

#include "../../core/activation.h"
#include "../../core/dtype.h"
#include "launch.h"

namespace cuda_batchnorm::cuda {

// Piecewise linear activations cost nothing beside memory; the others bring code and registers that only they should pay for.
enum class Shape { Linear, Smooth };

inline Shape shapeOf(Activation activation) {
  const bool linear = activation == Activation::Identity || activation == Activation::Relu || activation == Activation::LeakyRelu;
  return linear ? Shape::Linear : Shape::Smooth;
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

// Calls body(S(), Width<V>(), kind of the activation).
template <Shape shape>
struct ShapeOf {
  static constexpr Shape value = shape;
};

template <class Body>
void forElementAndShape(const KernelChoice& choice, Activation activation, const Body& body) {
  forElement(choice, [&](auto element, auto width) {
    if (shapeOf(activation) == Shape::Linear) {
      body(element, width, ShapeOf<Shape::Linear>());
    } else {
      body(element, width, ShapeOf<Shape::Smooth>());
    }
  });
}

}  // namespace cuda_batchnorm::cuda
