#include "objects.h"

#include <tuple>

namespace cuda_batchnorm::cudnn {
namespace {

auto members(const Shape& shape) { return std::tie(shape.type, shape.format, shape.n, shape.c, shape.h, shape.w); }

}  // namespace

bool operator==(const Shape& a, const Shape& b) { return members(a) == members(b); }

size_t Shape::bytes() const { return elements() * sizeOf(type); }

size_t sizeOf(DataType type) { return type == DataType::Double ? 8 : type == DataType::Float ? 4 : 2; }

const char* text(DataType type) {
  switch (type) {
    case DataType::Float:
      return "float";
    case DataType::Double:
      return "double";
    case DataType::Half:
      return "half";
    case DataType::BFloat16:
      return "bfloat16";
  }
  complain("data type " + std::to_string(static_cast<int>(type)) + " is unknown");
}

const char* text(Mode mode) {
  switch (mode) {
    case Mode::PerActivation:
      return "PER_ACTIVATION";
    case Mode::Spatial:
      return "SPATIAL";
    case Mode::SpatialPersistent:
      return "SPATIAL_PERSISTENT";
  }
  complain("mode " + std::to_string(static_cast<int>(mode)) + " is unknown");
}

const char* text(Ops ops) {
  switch (ops) {
    case Ops::Plain:
      return "BN";
    case Ops::Activation:
      return "BN_ACTIVATION";
    case Ops::AddActivation:
      return "BN_ADD_ACTIVATION";
  }
  complain("ops " + std::to_string(static_cast<int>(ops)) + " are unknown");
}

std::string text(const Shape& shape) {
  std::string dimensions;
  for (const int extent : {shape.n, shape.c, shape.h, shape.w}) dimensions += (dimensions.empty() ? "" : "x") + std::to_string(extent);
  return std::string(text(shape.type)) + (shape.format == Format::NCHW ? " NCHW " : " NHWC ") + dimensions;
}

// Never destroyed: handles may be given back when the process ends.
Registry<HandleStruct>& handles() {
  static auto& only = *new Registry<HandleStruct>("handle");
  return only;
}

Registry<TensorStruct>& tensors() {
  static auto& only = *new Registry<TensorStruct>("tensor descriptor");
  return only;
}

Registry<ActivationStruct>& activations() {
  static auto& only = *new Registry<ActivationStruct>("activation descriptor");
  return only;
}

Shape shapeOf(TensorDescriptor descriptor, const std::string& role) {
  const std::optional<Shape> shape = tensors().get(descriptor, role).shape;
  if (!shape) complain("the tensor descriptor of " + role + " was never set");
  return *shape;
}

Shape parametersOf(const Shape& x, Mode mode) {
  Shape parameters = x;
  parameters.type = x.type == DataType::Double ? DataType::Double : DataType::Float;
  parameters.n = 1;
  if (mode != Mode::PerActivation) parameters.h = parameters.w = 1;
  return parameters;
}

void requireKnown(Mode mode) { text(mode); }
void requireKnown(Ops ops) { text(ops); }

}  // namespace cuda_batchnorm::cudnn
