#include <algorithm>
#include <cmath>
#include <cstring>

#include "calls.h"
#include "exports.h"
#include "reserve.h"
#include "work.h"

namespace cuda_batchnorm::cudnn {
namespace {

struct Forward {
  Problem problem;
  Blend blend;
  double averageFactor = 0;
  double epsilon = 0;
  Slot x, z, y, scale, bias;
  Slot runningMean, runningVariance, savedMean, savedInverse;
  Slot workspace, reserve;
};

double activated(double value, NanPropagation nan) {
  if (std::isnan(value)) return nan == NanPropagation::Yes ? value : 0;
  return std::max(value, 0.0);
}

void writeOutput(const Forward& forward, const Memory& memory, const Moments& moments) {
  const Groups groups = forward.problem.groups();
  const DataType type = groups.x.type;
  const DataType parameterType = parametersOf(groups.x, groups.mode).type;
  Reserve reserve(forward.problem, memory[forward.reserve]);
  const size_t elements = groups.x.elements();
  for (size_t i = 0; i < elements; ++i) {
    const size_t group = groups.of(i);
    const double deviation = std::sqrt(moments.variance[group] + forward.epsilon);
    const double normal = (load(memory[forward.x], type, i) - moments.mean[group]) / deviation;
    double value = normal * load(memory[forward.scale], parameterType, group) + load(memory[forward.bias], parameterType, group);
    if (forward.problem.adds()) value += load(memory[forward.z], type, i);
    if (forward.problem.fused()) {
      reserve.set(i, value > 0);
      value = activated(value, forward.problem.nan);
    }
    forward.blend.apply(memory[forward.y], type, i, value);
  }
}

void writeStatistics(const Forward& forward, const Memory& memory, const Moments& moments) {
  const Groups groups = forward.problem.groups();
  const DataType type = parametersOf(groups.x, groups.mode).type;
  const double correction = groups.size() / std::max(groups.size() - 1, 1.0);
  const Blend average{forward.averageFactor, 1 - forward.averageFactor};
  for (size_t group = 0; group < groups.count(); ++group) {
    if (forward.savedMean) {
      store(memory[forward.savedMean], type, group, moments.mean[group]);
      store(memory[forward.savedInverse], type, group, 1 / std::sqrt(moments.variance[group] + forward.epsilon));
    }
    if (forward.runningMean) {
      average.apply(memory[forward.runningMean], type, group, moments.mean[group]);
      average.apply(memory[forward.runningVariance], type, group, moments.variance[group] * correction);
    }
  }
}

std::string run(const Forward& forward, const Memory& memory) {
  const Problem& problem = forward.problem;
  if (forward.workspace) std::memset(memory[forward.workspace], 0xff, problem.forwardWorkspaceBytes());
  if (forward.reserve) std::memset(memory[forward.reserve], 0, problem.reserveBytes());
  const uint64_t xPrint = fingerprint(memory[forward.x], problem.x.bytes());
  const Moments moments = momentsOf(problem.groups(), memory[forward.x]);
  writeOutput(forward, memory, moments);
  writeStatistics(forward, memory, moments);
  if (forward.reserve) Reserve(problem, memory[forward.reserve]).sign(forward.epsilon, xPrint);
  return "";
}

void requireFactor(double factor) {
  if (!(factor >= 0 && factor <= 1)) complain("the factor of the running statistics is " + std::to_string(factor));
}

}  // namespace

extern "C" Status cudnnBatchNormalizationForwardTrainingEx(Handle handle, Mode mode, Ops ops, const void* alpha, const void* beta,
                                                           TensorDescriptor xDescriptor, const void* x, TensorDescriptor zDescriptor,
                                                           const void* z, TensorDescriptor yDescriptor, void* y,
                                                           TensorDescriptor parameters, const void* scale, const void* bias,
                                                           double averageFactor, void* runningMean, void* runningVariance, double epsilon,
                                                           void* savedMean, void* savedInvVariance, ActivationDescriptor activation,
                                                           void* workspace, size_t workspaceBytes, void* reserve, size_t reserveBytes) {
  constexpr char kName[] = "cudnnBatchNormalizationForwardTrainingEx";
  return entered(kName, [&](Details& details) {
    requireHandle(handle);
    const Problem problem = problemOf(mode, ops, xDescriptor, activation);
    problem.describe(details);
    requireParameters(problem, parameters);
    requireEpsilon(epsilon);
    requireFactor(averageFactor);
    Forward forward;
    forward.problem = problem;
    forward.blend = blendOf(problem, alpha, beta);
    forward.averageFactor = averageFactor;
    forward.epsilon = epsilon;
    Work work(kName, handle, problem);
    forward.x = work.tensor("x", xDescriptor, x, Access::Read);
    if (problem.adds()) forward.z = work.tensor("z", zDescriptor, z, Access::Read);
    forward.y = work.tensor("y", yDescriptor, y, output(forward.blend));
    forward.scale = work.parameter("scale", scale, Access::Read);
    forward.bias = work.parameter("bias", bias, Access::Read);
    work.optionalPair("the running mean", runningMean, forward.runningMean, "the running variance", runningVariance,
                      forward.runningVariance, Access::ReadWrite);
    work.optionalPair("the saved mean", savedMean, forward.savedMean, "the saved inverse deviation", savedInvVariance, forward.savedInverse,
                      Access::Write);
    forward.workspace = work.space("the workspace", workspace, workspaceBytes, problem.forwardWorkspaceBytes(), Access::Write);
    forward.reserve = work.space("the reserve space", reserve, reserveBytes, problem.reserveBytes(), Access::Write);
    details.add("epsilon", epsilon);
    details.add("averageFactor", averageFactor);
    details.flag("running", forward.runningMean.has_value());
    details.flag("saved", forward.savedMean.has_value());
    work.queue([forward](const Memory& memory) { return run(forward, memory); });
  });
}

}  // namespace cuda_batchnorm::cudnn
