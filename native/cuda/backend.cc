#include "backend.h"

#include <initializer_list>

#include "kernels/coefficients.h"
#include "kernels/gradient.h"
#include "kernels/gradient_sums.h"
#include "kernels/moments.h"
#include "kernels/resident.h"
#include "kernels/transform.h"
#include "plan.h"
#include "runtime/check.h"
#include "runtime/device.h"
#include "runtime/stream.h"

namespace cuda_batchnorm::cuda {
namespace {

bool aligned(std::initializer_list<const void*> tensors) {
  for (const void* tensor : tensors) {
    if (reinterpret_cast<uintptr_t>(tensor) % kAccessBytes != 0) return false;
  }
  return true;
}

size_t computeBytes(const Problem& problem) { return problem.dtype == DType::Float64 ? sizeof(double) : sizeof(float); }

// What the steps of one operation leave for each other. Null where they leave nothing.
class Workspace {
 public:
  Workspace(Stream& stream, const Problem& problem, const Plan& plan)
      : stream_(stream),
        row_(plan.coefficients ? roundUp(static_cast<size_t>(problem.channels) * computeBytes(problem)) : 0),
        // Moments have four values, sums two.
        scratch_(stream, kRows * row_ + static_cast<size_t>(plan.partials) * 4 * computeBytes(problem)) {}

  Coefficients coefficients() const { return {row(0), row(1), row(2), row(3), row(4)}; }
  Merge merge() const { return {row(kRows), stream_.counters()}; }

 private:
  static constexpr size_t kRows = 5;
  static constexpr size_t kAlignment = 256;
  static size_t roundUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

  char* row(size_t i) const { return scratch_.memory() + i * row_; }

  Stream& stream_;
  const size_t row_;  // bytes
  const Scratch scratch_;
};

// One operation: what was asked for, the plan, and the workspace. Steps take their arguments from it.
class Operations {
 public:
  Operations(Stream& stream, const Request& request)
      : stream_(stream),
        problem_(request.problem),
        needsInput_(request.needsInput()),
        plan_(plan(request, stream.device().properties())),
        workspace_(stream, problem_, plan_) {}

  ForwardTensors forwardTensors;
  BackwardTensors backwardTensors;
  TrainingResults trainingResults;
  BackwardResults backwardResults;
  Parameters parameters;

  void run() {
    trainingResults.coefficients = backwardResults.coefficients = workspace_.coefficients();
    for (int i = 0; i < plan_.count; ++i) launch(plan_.steps[static_cast<size_t>(i)]);
  }

 private:
  void launch(const Step& step) {
    const KernelChoice choice = {problem_.dtype, step.wide, step.shape};
    const cudaStream_t stream = stream_.handle();
    const Coefficients coefficients = workspace_.coefficients();
    switch (step.kernel) {
      case Kernel::Coefficients:
        return launchCoefficients(choice, stream, {parameters, coefficients, problem_.channels});
      case Kernel::MomentsOfRuns:
        return launchMoments(choice, stream,
                             MomentsArguments<RunsCut>{forwardTensors.input, plan_.runs, workspace_.merge(), trainingResults});
      case Kernel::MomentsOfColumns:
        return launchMoments(choice, stream,
                             MomentsArguments<ColumnsCut>{forwardTensors.input, plan_.columns, workspace_.merge(), trainingResults});
      case Kernel::TransformInOrder:
        return launchTransform(choice, stream, TransformArguments<InOrderCut>{forwardTensors, plan_.inOrder, coefficients});
      case Kernel::TransformColumns:
        return launchTransform(choice, stream, TransformArguments<ColumnsCut>{forwardTensors, plan_.columns, coefficients});
      case Kernel::ResidentForward:
        return launchResidentForward(choice, stream, {forwardTensors, plan_.runs, trainingResults});
      case Kernel::GradientSumsOfRuns:
        return launchGradientSums(choice, stream,
                                  GradientSumsArguments<RunsCut>{backwardTensors, plan_.runs, workspace_.merge(), backwardResults});
      case Kernel::GradientSumsOfColumns:
        return launchGradientSums(choice, stream,
                                  GradientSumsArguments<ColumnsCut>{backwardTensors, plan_.columns, workspace_.merge(), backwardResults});
      case Kernel::GradientInOrder:
        return launchGradient(choice, stream, GradientArguments<InOrderCut>{lastPass(), plan_.inOrder, coefficients});
      case Kernel::GradientOfColumns:
        return launchGradient(choice, stream, GradientArguments<ColumnsCut>{lastPass(), plan_.columns, coefficients});
      case Kernel::ResidentBackward:
        return launchResidentBackward(choice, stream, {backwardTensors, plan_.runs, backwardResults});
    }
  }

  BackwardTensors lastPass() const {
    BackwardTensors tensors = backwardTensors;
    if (!needsInput_) tensors.input = nullptr;
    return tensors;
  }

  Stream& stream_;
  const Problem& problem_;
  const bool needsInput_;
  const Plan plan_;
  const Workspace workspace_;
};

void zero(Stream& stream, void* memory, int64_t values, DType dtype) {
  if (memory == nullptr || values == 0) return;
  CUDA_CHECK(cudaMemsetAsync(memory, 0, static_cast<size_t>(values) * sizeOf(dtype), stream.handle()));
}

Parameters parametersOf(const Problem& problem, const void* weight, const void* bias) {
  Parameters parameters;
  parameters.weight = weight;
  parameters.bias = bias;
  parameters.eps = problem.eps;
  parameters.inDouble = problem.parameterDtype == DType::Float64;
  return parameters;
}

}  // namespace

Backend::Backend(const Device& device) {
  device.select();
  allowResidentForward(device.properties().sharedPerBlock);
  allowResidentBackward(device.properties().sharedPerBlock);
}

std::vector<KernelLaunch> Backend::explain(const cuda_batchnorm::Device& device, const Outline& outline) const {
  if (outline.problem.size() == 0) return {};
  Request request;
  static_cast<Outline&>(request) = outline;
  const Plan made = plan(request, static_cast<const Device&>(device).properties());
  std::vector<KernelLaunch> launches;
  for (int i = 0; i < made.count; ++i) {
    const Step& step = made.steps[static_cast<size_t>(i)];
    launches.push_back({name(step.kernel), step.shape.grid, step.shape.block, step.shape.sharedBytes, step.bytesRead, step.bytesWritten});
  }
  return launches;
}

size_t Backend::maskBytes(cuda_batchnorm::Device& /*device*/, const Problem& problem, bool residual) const {
  return residual && gradientNeedsOnlySign(problem.activation) ? static_cast<size_t>((problem.size() + 7) / 8) : 0;
}

void Backend::trainingForward(cuda_batchnorm::Stream& target, const TrainingForward& call) {
  auto& stream = static_cast<Stream&>(target);
  const Problem& problem = call.problem;
  stream.use(
      {call.input, call.residual, call.weight, call.bias, call.output, call.statistics, call.mask, call.runningMean, call.runningVariance});
  // An empty batch has no statistics: zeros are saved, and running statistics stay as they are.
  if (problem.size() == 0) return zero(stream, call.statistics, kStatisticsRows * problem.channels, problem.parameterDtype);

  Request request;
  request.operation = Operation::TrainingForward;
  request.problem = problem;
  request.residual = call.residual != nullptr;
  request.mask = call.mask != nullptr;
  request.running = call.runningMean != nullptr;
  request.wide = aligned({call.input, call.residual, call.output});

  Operations operations(stream, request);
  operations.forwardTensors = {call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), problem.activation};
  TrainingResults& results = operations.trainingResults;
  const auto values = static_cast<double>(problem.valuesPerChannel());
  results.parameters = parametersOf(problem, call.weight, call.bias);
  results.statistics = call.statistics;
  results.runningMean = call.runningMean;
  results.runningVariance = call.runningVariance;
  results.momentum = call.momentum;
  // One value per channel has no unbiased variance; its biased one, 0, stands in.
  results.unbiased = call.unbiasedRunningVariance && values > 1 ? values / (values - 1) : 1;
  results.outer = problem.outer;
  results.channels = problem.channels;
  results.inner = problem.inner;
  operations.run();
}

void Backend::inferenceForward(cuda_batchnorm::Stream& target, const InferenceForward& call) {
  auto& stream = static_cast<Stream&>(target);
  const Problem& problem = call.problem;
  if (problem.size() == 0) return;
  stream.use({call.input, call.residual, call.mean, call.variance, call.weight, call.bias, call.output, call.mask});

  Request request;
  request.operation = Operation::InferenceForward;
  request.problem = problem;
  request.residual = call.residual != nullptr;
  request.mask = call.mask != nullptr;
  request.wide = aligned({call.input, call.residual, call.output});

  Operations operations(stream, request);
  operations.forwardTensors = {call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), problem.activation};
  operations.parameters = parametersOf(problem, call.weight, call.bias);
  operations.parameters.mean = call.mean;
  operations.parameters.variance = call.variance;
  operations.run();
}

void Backend::backward(cuda_batchnorm::Stream& target, const Backward& call) {
  auto& stream = static_cast<Stream&>(target);
  const Problem& problem = call.problem;
  stream.use({call.gradOutput, call.input, call.residual, call.mask, call.mean, call.variance, call.weight, call.bias, call.gradInput,
              call.gradWeight, call.gradBias, call.gradResidual});
  if (problem.size() == 0) {
    zero(stream, call.gradWeight, problem.channels, problem.parameterDtype);
    return zero(stream, call.gradBias, problem.channels, problem.parameterDtype);
  }
  // Which side of 0 the pre-activation fell on is no matter to the identity, and the mask tells it.
  const void* const residual = problem.activation == Activation::Identity || call.mask != nullptr ? nullptr : call.residual;
  const void* const mask = problem.activation == Activation::Identity ? nullptr : call.mask;

  Request request;
  request.operation = Operation::Backward;
  request.problem = problem;
  request.residual = residual != nullptr;
  request.mask = mask != nullptr;
  request.constantStatistics = call.constantStatistics;
  request.gradWeight = call.gradWeight != nullptr;
  request.gradBias = call.gradBias != nullptr;
  request.gradResidual = call.gradResidual != nullptr;
  request.wide = aligned({call.gradOutput, call.input, residual, call.gradInput, call.gradResidual});

  Operations operations(stream, request);
  operations.backwardTensors = {call.gradOutput, call.input,        residual,           static_cast<const uint8_t*>(mask),
                                call.gradInput,  call.gradResidual, problem.activation, call.constantStatistics};
  Parameters& parameters = operations.parameters;
  parameters = parametersOf(problem, call.weight, call.bias);
  parameters.mean = call.mean;
  parameters.meanLow = call.meanLow;
  parameters.variance = call.variance;
  parameters.ofBatch = !call.constantStatistics;
  BackwardResults& results = operations.backwardResults;
  results.parameters = parameters;
  results.gradWeight = call.gradWeight;
  results.gradBias = call.gradBias;
  results.channels = problem.channels;
  results.valuesPerChannel = static_cast<double>(problem.valuesPerChannel());
  operations.run();
}

}  // namespace cuda_batchnorm::cuda
