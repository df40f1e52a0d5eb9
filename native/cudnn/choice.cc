#include "choice.h"

#include <climits>
#include <string>

namespace cuda_batchnorm::cudnn {
namespace {

Error refusal(const std::string& what) { return {ErrorCode::InvalidArgument, "cuDNN cannot do this: " + what}; }

ActivationMode activationMode(Activation activation) {
  switch (activation) {
    case Activation::Identity:
      return ActivationMode::Identity;
    case Activation::Relu:
      return ActivationMode::Relu;
    case Activation::Elu:
      return ActivationMode::Elu;
    case Activation::Sigmoid:
      return ActivationMode::Sigmoid;
    case Activation::Tanh:
      return ActivationMode::Tanh;
    case Activation::Silu:
      return ActivationMode::Swish;
    case Activation::LeakyRelu:
      throw refusal("it has no leakyRelu");
    case Activation::Gelu:
      throw refusal("it has no gelu here");
  }
  throw refusal("it does not know the activation");
}

void requireTypes(const Problem& problem) {
  const bool isDouble = problem.dtype == DType::Float64;
  if ((problem.parameterDtype == DType::Float64) == isDouble) return;
  throw refusal(isDouble ? "tensors of float64 have parameters of float64" : "parameters of float64 go with tensors of float64 alone");
}

void requireSizes(const Problem& problem) {
  if (problem.size() <= INT_MAX) return;  // and with it every dimension
  throw refusal("a tensor has at most 2^31 - 1 elements, and this one has " + std::to_string(problem.size()));
}

bool isChannelsLast(const Problem& problem) { return problem.inner == 1; }

void requireMode(const Problem& problem, Mode mode) {
  if (mode != Mode::PerActivation || isChannelsLast(problem)) return;
  throw refusal(
      "its mode per-activation has statistics for each position, which for these channels of several positions is another operation");
}

Format formatOf(const Problem& problem, Mode mode) {
  return isChannelsLast(problem) && mode != Mode::PerActivation ? Format::NHWC : Format::NCHW;
}

Ops opsOf(const Problem& problem, bool residual) {
  if (residual) return Ops::AddActivation;
  return problem.activation == Activation::Identity ? Ops::Plain : Ops::Activation;
}

// Fused operations exist in the persistent mode. Otherwise that mode is faster for channels last, and for planes the less accurate one.
Mode defaultMode(const Problem& problem, Ops ops) {
  if (ops != Ops::Plain) return Mode::SpatialPersistent;
  return isChannelsLast(problem) && problem.dtype != DType::Float64 ? Mode::SpatialPersistent : Mode::Spatial;
}

}  // namespace

Choice chooseTraining(const Problem& problem, bool residual, std::optional<Mode> mode) {
  requireTypes(problem);
  requireSizes(problem);
  Choice choice;
  choice.ops = opsOf(problem, residual);
  choice.mode = mode.value_or(defaultMode(problem, choice.ops));
  choice.format = formatOf(problem, choice.mode);
  choice.activation = activationMode(problem.activation);
  requireMode(problem, choice.mode);
  return choice;
}

Choice chooseInference(const Problem& problem, bool residual, std::optional<Mode> mode) {
  requireTypes(problem);
  requireSizes(problem);
  if (residual) throw refusal("its inference adds no residual");
  if (problem.activation != Activation::Identity) throw refusal("its inference has no activation");
  Choice choice;
  choice.mode = mode.value_or(Mode::Spatial);
  choice.format = formatOf(problem, choice.mode);
  requireMode(problem, choice.mode);
  return choice;
}

}  // namespace cuda_batchnorm::cudnn
