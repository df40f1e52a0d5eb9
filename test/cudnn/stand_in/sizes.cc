// What calls need beside their tensors.
#include "calls.h"
#include "exports.h"
#include "problem.h"

namespace cuda_batchnorm::cudnn {
namespace {

void answer(size_t* bytes, size_t needed, Details& details) {
  if (bytes == nullptr) complain("the place for the size is null");
  details.add("bytes", needed);
  *bytes = needed;
}

}  // namespace

extern "C" Status cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(Handle handle, Mode mode, Ops ops, TensorDescriptor x,
                                                                           TensorDescriptor z, TensorDescriptor y,
                                                                           TensorDescriptor parameters, ActivationDescriptor activation,
                                                                           size_t* bytes) {
  return entered("cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize", [&](Details& details) {
    requireHandle(handle);
    const Problem problem = problemOf(mode, ops, x, activation);
    if (problem.adds()) requireLikeX(problem, z, "z");
    requireLikeX(problem, y, "y");
    requireParameters(problem, parameters);
    answer(bytes, problem.forwardWorkspaceBytes(), details);
  });
}

extern "C" Status cudnnGetBatchNormalizationBackwardExWorkspaceSize(Handle handle, Mode mode, Ops ops, TensorDescriptor x,
                                                                    TensorDescriptor y, TensorDescriptor dy, TensorDescriptor dz,
                                                                    TensorDescriptor dx, TensorDescriptor parameters,
                                                                    ActivationDescriptor activation, size_t* bytes) {
  return entered("cudnnGetBatchNormalizationBackwardExWorkspaceSize", [&](Details& details) {
    requireHandle(handle);
    const Problem problem = problemOf(mode, ops, x, activation);
    if (problem.fused()) requireLikeX(problem, y, "y");
    requireLikeX(problem, dy, "dy");
    if (problem.adds()) requireLikeX(problem, dz, "dz");
    requireLikeX(problem, dx, "dx");
    requireParameters(problem, parameters);
    answer(bytes, problem.backwardWorkspaceBytes(), details);
  });
}

extern "C" Status cudnnGetBatchNormalizationTrainingExReserveSpaceSize(Handle handle, Mode mode, Ops ops, ActivationDescriptor activation,
                                                                       TensorDescriptor x, size_t* bytes) {
  return entered("cudnnGetBatchNormalizationTrainingExReserveSpaceSize", [&](Details& details) {
    requireHandle(handle);
    answer(bytes, problemOf(mode, ops, x, activation).reserveBytes(), details);
  });
}

}  // namespace cuda_batchnorm::cudnn
