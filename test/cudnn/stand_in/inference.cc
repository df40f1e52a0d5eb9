#include <cmath>

#include "calls.h"
#include "exports.h"
#include "work.h"

namespace cuda_batchnorm::cudnn {
namespace {

struct Inference {
  Problem problem;
  Blend blend;
  double epsilon = 0;
  Slot x, y, scale, bias, mean, variance;
};

std::string run(const Inference& inference, const Memory& memory) {
  const Groups groups = inference.problem.groups();
  const DataType type = groups.x.type;
  const DataType parameterType = parametersOf(groups.x, groups.mode).type;
  const size_t elements = groups.x.elements();
  for (size_t i = 0; i < elements; ++i) {
    const auto parameter = [&](Slot slot) { return load(memory[slot], parameterType, groups.of(i)); };
    const double normal =
        (load(memory[inference.x], type, i) - parameter(inference.mean)) / std::sqrt(parameter(inference.variance) + inference.epsilon);
    inference.blend.apply(memory[inference.y], type, i, normal * parameter(inference.scale) + parameter(inference.bias));
  }
  return "";
}

}  // namespace

extern "C" Status cudnnBatchNormalizationForwardInference(Handle handle, Mode mode, const void* alpha, const void* beta,
                                                          TensorDescriptor xDescriptor, const void* x, TensorDescriptor yDescriptor,
                                                          void* y, TensorDescriptor parameters, const void* scale, const void* bias,
                                                          const void* mean, const void* variance, double epsilon) {
  constexpr char kName[] = "cudnnBatchNormalizationForwardInference";
  return entered(kName, [&](Details& details) {
    requireHandle(handle);
    const Problem problem = problemOf(mode, Ops::Plain, xDescriptor, nullptr);
    problem.describe(details);
    requireParameters(problem, parameters);
    requireEpsilon(epsilon);
    // Seen of cuDNN 7 and 8.
    constexpr int kMostImages = 65535;
    if (problem.x.n > kMostImages) refuseUnsupported("inference takes at most 65535 images");
    Inference inference;
    inference.problem = problem;
    inference.blend = blendOf(problem, alpha, beta);
    inference.epsilon = epsilon;
    Work work(kName, handle, problem);
    inference.x = work.tensor("x", xDescriptor, x, Access::Read);
    inference.y = work.tensor("y", yDescriptor, y, output(inference.blend));
    inference.scale = work.parameter("scale", scale, Access::Read);
    inference.bias = work.parameter("bias", bias, Access::Read);
    inference.mean = work.parameter("mean", mean, Access::Read);
    inference.variance = work.parameter("variance", variance, Access::Read);
    details.add("epsilon", epsilon);
    work.queue([inference](const Memory& memory) { return run(inference, memory); });
  });
}

}  // namespace cuda_batchnorm::cudnn
