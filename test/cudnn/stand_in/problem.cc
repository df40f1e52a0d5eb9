#include "problem.h"

#include "emulator.h"
#include "reserve.h"

namespace cuda_batchnorm::cudnn {
namespace {

constexpr size_t kWorkspaceHead = 128;

void requireFusable(const Problem& problem, ActivationMode activation) {
  const std::string ops = std::string(text(problem.ops)) + " needs ";
  if (problem.mode != Mode::SpatialPersistent) refuseUnsupported(ops + "SPATIAL_PERSISTENT, not " + text(problem.mode));
  if (problem.x.format != Format::NHWC) refuseUnsupported(ops + "NHWC");
  if (problem.x.type == DataType::Double) refuseUnsupported(ops + "float, half or bfloat16, not double");
  if (activation != ActivationMode::Relu) refuseUnsupported(ops + "RELU");
}

// Doubles for each channel, where channels are summed up across blocks.
size_t workspaceBytes(const Problem& problem, size_t doubles) {
  const bool across = problem.mode != Mode::PerActivation && (problem.mode == Mode::SpatialPersistent || problem.x.format == Format::NHWC);
  return across ? kWorkspaceHead + doubles * sizeof(double) * problem.groups().count() : 0;
}

}  // namespace

size_t Problem::forwardWorkspaceBytes() const { return workspaceBytes(*this, 2); }

size_t Problem::backwardWorkspaceBytes() const { return workspaceBytes(*this, 3); }

size_t Problem::reserveBytes() const {
  if (mode != Mode::SpatialPersistent) return 0;
  return Reserve::bytes(fused() ? x.elements() : 0);
}

void Problem::describe(Details& details) const {
  details.add("mode", text(mode));
  details.add("ops", text(ops));
  details.add("tensor", text(x));
}

Problem problemOf(Mode mode, Ops ops, TensorDescriptor x, ActivationDescriptor activation) {
  requireKnown(mode);
  requireKnown(ops);
  Problem problem{mode, ops, shapeOf(x, "x")};
  if (!problem.fused()) return problem;
  const ActivationStruct object = activations().get(activation);
  if (!object.mode) complain("the activation descriptor was never set");
  requireFusable(problem, *object.mode);
  problem.nan = object.nan;
  return problem;
}

void requireLikeX(const Problem& problem, TensorDescriptor descriptor, const char* name) {
  const Shape shape = shapeOf(descriptor, name);
  if (shape != problem.x) complain(std::string(name) + " is " + text(shape) + ", but x is " + text(problem.x));
}

void requireParameters(const Problem& problem, TensorDescriptor descriptor) {
  const TensorStruct object = tensors().get(descriptor, "the parameters");
  const Shape expected = parametersOf(problem.x, problem.mode);
  if (object.derivedWith != problem.mode || *object.shape != expected) {
    complain("the tensor descriptor of the parameters must be derived from x with " + std::string(text(problem.mode)) + ": " +
             text(expected));
  }
}

HandleStruct requireHandle(Handle handle) {
  const HandleStruct object = handles().get(handle);
  if (object.device != currentDevice()) {
    complain("the handle is of device " + std::to_string(object.device) + ", the current device is " + std::to_string(currentDevice()));
  }
  return object;
}

}  // namespace cuda_batchnorm::cudnn
