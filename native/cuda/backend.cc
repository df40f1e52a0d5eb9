#include "backend.h"

#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "kernels/backward.h"
#include "kernels/forward.h"
#include "kernels/renormalize.h"
#include "kernels/transform.h"
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

// One operation: what was asked for, and the plan. Steps take their arguments from it.
class Operations {
 public:
  Operations(Stream& stream, const Request& request, Plan& plan)
      : stream_(stream), request_(request), plan_(plan), exchange_(exchangeOf(stream, plan)) {}

  ForwardTensors forwardTensors;
  BackwardTensors backwardTensors;
  TrainingResults trainingResults;
  BackwardResults backwardResults;
  Parameters parameters;  // of the transform

  void run() {
    for (int i = 0; i < plan_.count; ++i) {
      Step& step = plan_.steps[static_cast<size_t>(i)];
      launch(step);
      step.shape.allowed = true;  // the next launch of this plan need not ask again
    }
  }

 private:
  void launch(const Step& step) const {
    const KernelChoice choice = {request_.problem.dtype, step.wide, step.whole, step.shape};
    const cudaStream_t stream = stream_.handle();
    switch (step.kernel) {
      case Kernel::ForwardOfRuns:
        return launchForward(choice, stream, forward(plan_.cut.runs));
      case Kernel::ForwardOfPlanes:
        return launchForward(choice, stream, forward(plan_.cut.planes));
      case Kernel::ForwardOfColumns:
        return launchForward(choice, stream, forward(plan_.cut.columns));
      case Kernel::TransformInOrder:
        return launchTransform(choice, stream, TransformArguments<InOrderCut>{forwardTensors, plan_.inOrder, parameters});
      case Kernel::TransformColumns:
        return launchTransform(choice, stream, TransformArguments<ColumnsCut>{forwardTensors, plan_.columns, parameters});
      case Kernel::BackwardOfRuns:
        return launchBackward(choice, stream, backward(plan_.cut.runs));
      case Kernel::BackwardOfPlanes:
        return launchBackward(choice, stream, backward(plan_.cut.planes));
      case Kernel::BackwardOfColumns:
        return launchBackward(choice, stream, backward(plan_.cut.columns));
    }
  }

  template <class Cut>
  ForwardArguments<Cut> forward(const Cut& cut) const {
    ForwardArguments<Cut> arguments = {forwardTensors, cut, plan_.team, exchange_, trainingResults};
    if (plan_.count > 1) arguments.tensors.output = nullptr;  // the next step writes it
    return arguments;
  }

  template <class Cut>
  BackwardArguments<Cut> backward(const Cut& cut) const {
    BackwardArguments<Cut> arguments = {backwardTensors, cut, plan_.team, exchange_, backwardResults, request_.needsSums()};
    if (!request_.needsInput()) arguments.tensors.input = nullptr;
    return arguments;
  }

  static Exchange exchangeOf(Stream& stream, const Plan& plan) {
    if (plan.team.kind != TeamKind::Grid) return {};
    return {stream.exchange(static_cast<size_t>(plan.exchanged)), stream.counters()};
  }

  Stream& stream_;
  const Request& request_;
  Plan& plan_;
  const Exchange exchange_;
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

TrainingResults resultsOf(const TrainingForward& call) {
  const Problem& problem = call.problem;
  const auto values = static_cast<double>(problem.valuesPerChannel());
  TrainingResults results;
  results.parameters = parametersOf(problem, call.weight, call.bias);
  results.statistics = call.statistics;
  results.runningMean = call.runningMean;
  results.runningVariance = call.runningVariance;
  results.momentum = call.momentum;
  // One value per channel has no unbiased variance; its biased one, 0, stands in.
  results.unbiased = call.unbiasedRunningVariance && values > 1 ? values / (values - 1) : 1;
  results.channels = problem.channels;
  results.valuesPerChannel = values;
  return results;
}

// What a forward pass saved, as statistics that are given.
Parameters savedBy(const TrainingResults& results) {
  Parameters parameters = results.parameters;
  const auto row = [&](int64_t i) {
    const size_t bytes = parameters.inDouble ? sizeof(double) : sizeof(float);
    return static_cast<const char*>(results.statistics) + static_cast<size_t>(i * results.channels) * bytes;
  };
  parameters.mean = row(0);
  parameters.meanLow = row(1);
  parameters.variance = row(2);
  return parameters;
}

// With what only a kernel can be asked.
DeviceProperties propertiesOf(const Device& device) {
  device.select();
  DeviceProperties properties = device.properties();
  probeKernels(properties.sharedPerBlock);
  if (properties.major < 9) return properties;
  for (uint32_t blocks = 2; blocks <= kMostClusterBlocks; ++blocks) {
    properties.clusters[blocks] = clustersAtOnce(blocks, properties.sharedPerBlock);
  }
  return properties;
}

}  // namespace

Backend::Backend(const Device& device) : properties_(propertiesOf(device)) {
  const char* const forced = std::getenv("CUDA_BATCHNORM_PLAN");
  if (forced != nullptr) choice_ = Choice::parse(forced);
}

void Backend::force(const std::string& choice) {
  choice_ = Choice::parse(choice);
  plans_.clear();
}

std::vector<KernelLaunch> Backend::explain(const cuda_batchnorm::Device& /*device*/, const Outline& outline) const {
  if (outline.problem.size() == 0) return {};
  Request request;
  static_cast<Outline&>(request) = outline;
  const Plan made = plan(request, properties_, choice_);
  std::vector<KernelLaunch> launches;
  for (int i = 0; i < made.count; ++i) {
    const Step& step = made.steps[static_cast<size_t>(i)];
    KernelLaunch launch;
    launch.kernel = name(step.kernel);
    launch.grid = step.shape.grid;
    launch.block = step.shape.block;
    launch.sharedBytes = step.shape.sharedBytes;
    launch.bytesRead = step.bytesRead;
    launch.bytesWritten = step.bytesWritten;
    launch.blocksPerProcessor = step.blocksPerProcessor;
    if (step.kernel != Kernel::TransformInOrder && step.kernel != Kernel::TransformColumns) {
      launch.team = name(made.team.kind);
      launch.teamBlocks = made.team.blocks;
      launch.seconds = made.seconds;
    }
    launches.push_back(launch);
  }
  return launches;
}

Plan& Backend::planOf(const Request& r) {
  constexpr size_t kMostPlans = 1024;
  const auto flags = [](std::initializer_list<bool> given) {
    int64_t bits = 0;
    for (const bool flag : given) bits = bits * 2 + (flag ? 1 : 0);
    return bits;
  };
  const Problem& p = r.problem;
  const std::vector<int64_t> key = {
      p.outer,
      p.channels,
      p.inner,
      static_cast<int64_t>(r.operation),
      static_cast<int64_t>(p.dtype),
      static_cast<int64_t>(p.parameterDtype),
      static_cast<int64_t>(p.activation),
      flags({r.residual, r.mask, r.running, r.constantStatistics, r.gradWeight, r.gradBias, r.gradResidual, r.wide})};
  const auto found = plans_.find(key);
  if (found != plans_.end()) return found->second;
  if (plans_.size() == kMostPlans) plans_.clear();
  Plan& made = plans_.emplace(key, plan(r, properties_, choice_)).first->second;
  if (choice_.explain) std::fprintf(stderr, "cuda-batchnorm: %s\n", describe(r, made).c_str());
  return made;
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
  if (problem.size() == 0) return zero(stream, call.statistics, call.statisticsRows() * problem.channels, problem.parameterDtype);
  call.renorm.on ? renormalizedForward(stream, call) : normalizedForward(stream, call);
}

void Backend::normalizedForward(Stream& stream, const TrainingForward& call) {
  const Problem& problem = call.problem;
  Request request;
  request.operation = Operation::TrainingForward;
  request.problem = problem;
  request.residual = call.residual != nullptr;
  request.mask = call.mask != nullptr;
  request.running = call.runningMean != nullptr;
  request.wide = aligned({call.input, call.residual, call.output});

  Operations operations(stream, request, planOf(request));
  operations.forwardTensors = {call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), problem.activation};
  operations.trainingResults = resultsOf(call);
  operations.parameters = savedBy(operations.trainingResults);
  operations.run();
}

// Measures, makes r and d of what it found, and then writes the output: the input is read once more than without. What one launch leaves to
// the next is in double, as within the only launch of other passes: a variance may lie beyond the range of the parameters' dtype.
void Backend::renormalizedForward(Stream& stream, const TrainingForward& call) {
  Problem problem = call.problem;
  problem.parameterDtype = DType::Float64;
  constexpr size_t kRows = kStatisticsRows + 2;  // then weight and bias
  const Scratch scratch(stream, kRows * static_cast<size_t>(problem.channels) * sizeof(double));
  const auto row = [&](int64_t i) { return reinterpret_cast<double*>(scratch.memory()) + i * problem.channels; };

  TrainingForward measuring;
  measuring.problem = problem;
  measuring.input = call.input;
  measuring.statistics = row(0);
  normalizedForward(stream, measuring);

  const TrainingResults results = resultsOf(call);
  RenormArguments arguments;
  arguments.measured = row(0);
  arguments.weight = call.weight;
  arguments.bias = call.bias;
  arguments.scaling = row(kStatisticsRows);
  arguments.statistics = call.statistics;
  arguments.runningMean = call.runningMean;
  arguments.runningVariance = call.runningVariance;
  arguments.momentum = call.momentum;
  arguments.unbiased = results.unbiased;
  arguments.eps = problem.eps;
  arguments.renorm = call.renorm;
  arguments.channels = problem.channels;
  arguments.inDouble = results.parameters.inDouble;
  renormalize(stream.handle(), arguments);

  Parameters parameters = savedBy(resultsOf(measuring));
  parameters.weight = row(kStatisticsRows);
  parameters.bias = row(kStatisticsRows + 1);
  transform(stream, problem, {call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), problem.activation}, parameters);
}

void Backend::inferenceForward(cuda_batchnorm::Stream& target, const InferenceForward& call) {
  auto& stream = static_cast<Stream&>(target);
  const Problem& problem = call.problem;
  if (problem.size() == 0) return;
  stream.use({call.input, call.residual, call.mean, call.variance, call.weight, call.bias, call.output, call.mask});

  Parameters parameters = parametersOf(problem, call.weight, call.bias);
  parameters.mean = call.mean;
  parameters.variance = call.variance;
  transform(stream, problem, {call.input, call.residual, call.output, static_cast<uint8_t*>(call.mask), problem.activation}, parameters);
}

void Backend::transform(Stream& stream, const Problem& problem, const ForwardTensors& tensors, const Parameters& parameters) {
  Request request;
  request.operation = Operation::InferenceForward;
  request.problem = problem;
  request.residual = tensors.residual != nullptr;
  request.mask = tensors.mask != nullptr;
  request.wide = aligned({tensors.input, tensors.residual, tensors.output});

  Operations operations(stream, request, planOf(request));
  operations.forwardTensors = tensors;
  operations.parameters = parameters;
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

  Operations operations(stream, request, planOf(request));
  operations.backwardTensors = {call.gradOutput, call.input,        residual,           static_cast<const uint8_t*>(mask),
                                call.gradInput,  call.gradResidual, problem.activation, call.constantStatistics,
                                call.inPlace};
  BackwardResults& results = operations.backwardResults;
  Parameters& parameters = results.parameters;
  parameters = parametersOf(problem, call.weight, call.bias);
  parameters.mean = call.mean;
  parameters.meanLow = call.meanLow;
  parameters.variance = call.variance;
  parameters.renormScale = call.renormScale;
  parameters.renormShift = call.renormShift;
  parameters.ofBatch = !call.constantStatistics;
  parameters.inPlace = call.inPlace;
  results.gradWeight = call.gradWeight;
  results.gradBias = call.gradBias;
  results.accumulates = call.accumulates;
  results.valuesPerChannel = static_cast<double>(problem.valuesPerChannel());
  operations.run();
}

}  // namespace cuda_batchnorm::cuda
