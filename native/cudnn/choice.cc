#include "choice.h"

#include <climits>
#include <string>

namespace cuda_batchnorm::cudnn {
namespace {

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
      throw refusal("another activation than leakyRelu", "has no such activation");
    case Activation::Gelu:
      throw refusal("another activation than gelu", "has no such activation for batch normalization");
  }
  throw refusal("a known activation", "has no other");
}

void requireTypes(const Problem& problem) {
  const bool isDouble = problem.dtype == DType::Float64;
  if ((problem.parameterDtype == DType::Float64) == isDouble) return;
  throw refusal(isDouble ? "parameters of float64 for an input of float64" : "parameters of float32 for an input that is not float64",
                "takes no other");
}

void requireSizes(const Problem& problem) {
  if (problem.size() <= INT_MAX) return;  // and with it every dimension
  throw refusal("at most 2^31 - 1 elements", "cannot count the " + std::to_string(problem.size()) + " of this tensor");
}

bool isChannelsLast(const Problem& problem) { return problem.inner == 1; }

void requireMode(const Problem& problem, Mode mode) {
  if (mode != Mode::PerActivation || isChannelsLast(problem)) return;
  throw refusal("one position per channel in mode per-activation", "has statistics for each position then, which is another operation");
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

Error refusal(const std::string& expected, const std::string& why) {
  return {ErrorCode::InvalidArgument, "Expected " + expected + " for backend cudnn, which " + why};
}

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
  if (residual) throw refusal("no residual in inference", "adds one in training alone");
  if (problem.activation != Activation::Identity) throw refusal("no activation in inference", "has one in training alone");
  Choice choice;
  choice.mode = mode.value_or(Mode::Spatial);
  choice.format = formatOf(problem, choice.mode);
  requireMode(problem, choice.mode);
  return choice;
}

}  // namespace cuda_batchnorm::cudnn
