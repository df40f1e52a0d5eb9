#include <cmath>
#include <cstring>

#include "calls.h"
#include "exports.h"
#include "reserve.h"
#include "work.h"

namespace cuda_batchnorm::cudnn {
namespace {

// Of what is saved in float, against double; callers may have kept the variance instead of its inverse root.
constexpr double kSavedTolerance = 1e-4;

struct Backward {
  Problem problem;
  Blend data;
  Blend parameters;
  double epsilon = 0;
  Slot x, y, dy, dz, dx, scale, bias, dscale, dbias;
  Slot savedMean, savedInverse;
  Slot workspace, reserve;
};

// By group: what x is normalized with.
struct Normal {
  std::vector<double> mean;
  std::vector<double> inverse;
};

Normal computedNormal(const Backward& backward, const Memory& memory) {
  Moments moments = momentsOf(backward.problem.groups(), memory[backward.x]);
  Normal normal{std::move(moments.mean), std::move(moments.variance)};
  for (double& value : normal.inverse) value = 1 / std::sqrt(value + backward.epsilon);
  return normal;
}

Normal savedNormal(const Backward& backward, const Memory& memory) {
  const Groups groups = backward.problem.groups();
  const DataType type = parametersOf(groups.x, groups.mode).type;
  Normal normal;
  for (size_t group = 0; group < groups.count(); ++group) {
    normal.mean.push_back(load(memory[backward.savedMean], type, group));
    normal.inverse.push_back(load(memory[backward.savedInverse], type, group));
  }
  return normal;
}

// What was saved is that of this x with this epsilon; values that are not finite are left alone.
std::string mismatch(const Normal& saved, const Normal& computed) {
  for (size_t group = 0; group < saved.mean.size(); ++group) {
    const double meanError = std::fabs(saved.mean[group] - computed.mean[group]);
    const double inverseError = std::fabs(saved.inverse[group] - computed.inverse[group]);
    const std::string of = " of group " + std::to_string(group) + " is ";
    if (meanError > kSavedTolerance * (std::fabs(computed.mean[group]) + 1 / computed.inverse[group])) {
      return "the saved mean" + of + std::to_string(saved.mean[group]) + ", that of x is " + std::to_string(computed.mean[group]);
    }
    if (inverseError > kSavedTolerance * computed.inverse[group]) {
      return "the saved inverse deviation" + of + std::to_string(saved.inverse[group]) + ", that of x with this epsilon is " +
             std::to_string(computed.inverse[group]) + ": forward had another x or another epsilon";
    }
  }
  return "";
}

// The gradient as it is before the activation.
std::vector<double> gradientBefore(const Backward& backward, const Memory& memory) {
  const Problem& problem = backward.problem;
  const Reserve reserve(problem, memory[backward.reserve]);
  std::vector<double> gradient(problem.x.elements());
  for (size_t i = 0; i < gradient.size(); ++i) {
    if (!problem.fused() || reserve.passed(i)) gradient[i] = load(memory[backward.dy], problem.x.type, i);
  }
  return gradient;
}

struct Sums {
  std::vector<double> gradient;
  std::vector<double> product;  // of the gradient and the normalized x
};

double normalized(const Backward& backward, const Memory& memory, const Normal& normal, size_t element) {
  const size_t group = backward.problem.groups().of(element);
  return (load(memory[backward.x], backward.problem.x.type, element) - normal.mean[group]) * normal.inverse[group];
}

Sums sumsOf(const Backward& backward, const Memory& memory, const Normal& normal, const std::vector<double>& gradient) {
  const Groups groups = backward.problem.groups();
  Sums sums{std::vector<double>(groups.count()), std::vector<double>(groups.count())};
  for (size_t i = 0; i < gradient.size(); ++i) {
    sums.gradient[groups.of(i)] += gradient[i];
    sums.product[groups.of(i)] += gradient[i] * normalized(backward, memory, normal, i);
  }
  return sums;
}

void writeGradients(const Backward& backward, const Memory& memory, const Normal& normal, const std::vector<double>& gradient) {
  const Groups groups = backward.problem.groups();
  const DataType type = groups.x.type;
  const DataType parameterType = parametersOf(groups.x, groups.mode).type;
  const Sums sums = sumsOf(backward, memory, normal, gradient);
  for (size_t i = 0; i < gradient.size(); ++i) {
    const size_t group = groups.of(i);
    const double factor = load(memory[backward.scale], parameterType, group) * normal.inverse[group];
    const double common = (sums.gradient[group] + normalized(backward, memory, normal, i) * sums.product[group]) / groups.size();
    backward.data.apply(memory[backward.dx], type, i, factor * (gradient[i] - common));
    if (backward.dz) backward.data.apply(memory[backward.dz], type, i, gradient[i]);
  }
  for (size_t group = 0; group < groups.count(); ++group) {
    backward.parameters.apply(memory[backward.dscale], parameterType, group, sums.product[group]);
    backward.parameters.apply(memory[backward.dbias], parameterType, group, sums.gradient[group]);
  }
}

std::string run(const Backward& backward, const Memory& memory) {
  const Problem& problem = backward.problem;
  if (backward.workspace) std::memset(memory[backward.workspace], 0xff, problem.backwardWorkspaceBytes());
  if (backward.reserve) {
    const uint64_t xPrint = fingerprint(memory[backward.x], problem.x.bytes());
    std::string wrong = Reserve(problem, memory[backward.reserve]).mismatch(backward.epsilon, xPrint);
    if (!wrong.empty()) return wrong;
  }
  Normal normal = computedNormal(backward, memory);
  if (backward.savedMean) {
    Normal saved = savedNormal(backward, memory);
    std::string wrong = mismatch(saved, normal);
    if (!wrong.empty()) return wrong;
    normal = std::move(saved);
  }
  writeGradients(backward, memory, normal, gradientBefore(backward, memory));
  return "";
}

}  // namespace

extern "C" Status cudnnBatchNormalizationBackwardEx(Handle handle, Mode mode, Ops ops, const void* alphaData, const void* betaData,
                                                    const void* alphaParameters, const void* betaParameters, TensorDescriptor xDescriptor,
                                                    const void* x, TensorDescriptor yDescriptor, const void* y,
                                                    TensorDescriptor dyDescriptor, const void* dy, TensorDescriptor dzDescriptor, void* dz,
                                                    TensorDescriptor dxDescriptor, void* dx, TensorDescriptor parameters, const void* scale,
                                                    const void* bias, void* dscale, void* dbias, double epsilon, const void* savedMean,
                                                    const void* savedInvVariance, ActivationDescriptor activation, void* workspace,
                                                    size_t workspaceBytes, void* reserve, size_t reserveBytes) {
  constexpr char kName[] = "cudnnBatchNormalizationBackwardEx";
  return entered(kName, [&](Details& details) {
    requireHandle(handle);
    const Problem problem = problemOf(mode, ops, xDescriptor, activation);
    problem.describe(details);
    requireParameters(problem, parameters);
    requireEpsilon(epsilon);
    Backward backward;
    backward.problem = problem;
    backward.data = blendOf(problem, alphaData, betaData);
    backward.parameters = blendOf(problem, alphaParameters, betaParameters);
    backward.epsilon = epsilon;
    Work work(kName, handle, problem);
    backward.x = work.tensor("x", xDescriptor, x, Access::Read);
    if (problem.fused()) {
      backward.y = work.tensor("y", yDescriptor, y, Access::Read);
      backward.bias = work.parameter("bias", bias, Access::Read);
    }
    backward.dy = work.tensor("dy", dyDescriptor, dy, Access::Read);
    if (problem.adds()) backward.dz = work.tensor("dz", dzDescriptor, dz, output(backward.data));
    backward.dx = work.tensor("dx", dxDescriptor, dx, output(backward.data));
    backward.scale = work.parameter("scale", scale, Access::Read);
    backward.dscale = work.parameter("dscale", dscale, output(backward.parameters));
    backward.dbias = work.parameter("dbias", dbias, output(backward.parameters));
    work.optionalPair("the saved mean", savedMean, backward.savedMean, "the saved inverse deviation", savedInvVariance,
                      backward.savedInverse, Access::Read);
    backward.workspace = work.space("the workspace", workspace, workspaceBytes, problem.backwardWorkspaceBytes(), Access::Write);
    backward.reserve = work.space("the reserve space", reserve, reserveBytes, problem.reserveBytes(), Access::Read);
    details.add("epsilon", epsilon);
    details.flag("saved", backward.savedMean.has_value());
    work.queue([backward](const Memory& memory) { return run(backward, memory); });
  });
}

}  // namespace cuda_batchnorm::cudnn
