#include <climits>
#include <cstdint>

#include "calls.h"
#include "exports.h"
#include "hooks.h"
#include "objects.h"

namespace cuda_batchnorm::cudnn {
namespace {

void requireSane(const Shape& shape) {
  if (shape.format != Format::NCHW && shape.format != Format::NHWC) complain("the format is unknown");
  text(shape.type);
  int64_t elements = 1;
  for (const int extent : {shape.n, shape.c, shape.h, shape.w}) {
    if (extent < 1) complain("a dimension is " + std::to_string(extent));
    elements *= extent;
    if (elements > INT_MAX) refuseUnsupported("a tensor of more than 2147483647 elements");
  }
}

}  // namespace

extern "C" Status cudnnCreateTensorDescriptor(TensorDescriptor* descriptor) {
  return entered("cudnnCreateTensorDescriptor", [&](Details&) {
    if (descriptor == nullptr) complain("the place for the descriptor is null");
    *descriptor = tensors().make({});
  });
}

extern "C" Status cudnnSetTensor4dDescriptor(TensorDescriptor descriptor, Format format, DataType type, int n, int c, int h, int w) {
  return entered("cudnnSetTensor4dDescriptor", [&](Details& details) {
    const Shape shape{type, format, n, c, h, w};
    requireSane(shape);
    details.add("tensor", text(shape));
    tensors().change(descriptor, [&](TensorStruct& object) { object = {shape, std::nullopt}; });
  });
}

extern "C" Status cudnnDeriveBNTensorDescriptor(TensorDescriptor derived, TensorDescriptor x, Mode mode) {
  return entered("cudnnDeriveBNTensorDescriptor", [&](Details& details) {
    requireKnown(mode);
    const Shape parameters = parametersOf(shapeOf(x, "x"), mode);
    details.add("tensor", text(parameters));
    tensors().change(derived, [&](TensorStruct& object) { object = {parameters, mode}; });
  });
}

extern "C" Status cudnnDestroyTensorDescriptor(TensorDescriptor descriptor) {
  return entered("cudnnDestroyTensorDescriptor", [&](Details&) { tensors().destroy(descriptor); });
}

extern "C" Status cudnnCreateActivationDescriptor(ActivationDescriptor* descriptor) {
  return entered("cudnnCreateActivationDescriptor", [&](Details&) {
    if (descriptor == nullptr) complain("the place for the descriptor is null");
    *descriptor = activations().make({});
  });
}

extern "C" Status cudnnSetActivationDescriptor(ActivationDescriptor descriptor, ActivationMode mode, NanPropagation nan,
                                               double /*coefficient*/) {
  return entered("cudnnSetActivationDescriptor", [&](Details&) {
    if (mode < ActivationMode::Sigmoid || mode > ActivationMode::Swish) complain("the activation mode is unknown");
    if (nan != NanPropagation::No && nan != NanPropagation::Yes) complain("the propagation of NaN is unknown");
    activations().change(descriptor, [&](ActivationStruct& object) { object = {mode, nan}; });
  });
}

extern "C" Status cudnnDestroyActivationDescriptor(ActivationDescriptor descriptor) {
  return entered("cudnnDestroyActivationDescriptor", [&](Details&) { activations().destroy(descriptor); });
}

}  // namespace cuda_batchnorm::cudnn

size_t standInLivingDescriptors() { return cuda_batchnorm::cudnn::tensors().living() + cuda_batchnorm::cudnn::activations().living(); }
