#include "backend.h"

#include <initializer_list>
#include <optional>
#include <string>

#include "../cuda/runtime/device.h"
#include "../cuda/runtime/stream.h"
#include "choice.h"
#include "descriptors.h"
#include "handle.h"

namespace cuda_batchnorm::cudnn {
namespace {

// cuDNN blends results with what is there: result = 1 * result + 0 * old, or 1 * old where results add up. Of the host, in double for
// tensors of double.
struct Blend {
  explicit Blend(DType dtype) : inDouble(dtype == DType::Float64) {}
  const void* one() const { return inDouble ? static_cast<const void*>(&oneDouble) : &oneFloat; }
  const void* zero() const { return inDouble ? static_cast<const void*>(&zeroDouble) : &zeroFloat; }
  const void* old(bool kept) const { return kept ? one() : zero(); }

  bool inDouble;
  float oneFloat = 1, zeroFloat = 0;
  double oneDouble = 1, zeroDouble = 0;
};

// What all calls for one problem share.
struct Setting {
  Setting(const Library& library, const Problem& problem, const Choice& chosen)
      : choice(chosen), tensor(library, problem, chosen.format), parameters(library, tensor, chosen.mode), blend(problem.dtype) {
    if (chosen.ops != Ops::Plain) activation_.emplace(library, chosen.activation);
  }

  // Descriptors of what an operation does without are null.
  ActivationDescriptor activation() const { return activation_ ? activation_->get() : nullptr; }
  TensorDescriptor residual() const { return choice.ops == Ops::AddActivation ? tensor.get() : nullptr; }
  // Of the forward pass, in backward.
  TensorDescriptor output() const { return choice.ops == Ops::Plain ? nullptr : tensor.get(); }

  const Choice choice;
  const TensorDescription tensor;
  const ParameterDescription parameters;
  const Blend blend;

 private:
  std::optional<ActivationDescription> activation_;
};

// One value per channel that cuDNN wants and the caller does not have: parameters left out, or gradients nobody asked for.
class Vector {
 public:
  Vector(cuda::Stream& stream, const Problem& problem, bool needed)
      : count_(problem.channels),
        dtype_(problem.parameterDtype),
        scratch_(stream, needed ? static_cast<size_t>(count_) * sizeOf(dtype_) : 0) {}

  void* memory() const { return scratch_.memory(); }
  const void* filled(cuda::Stream& stream, double value) const {
    stream.fill(memory(), dtype_, count_, value);
    return memory();
  }

 private:
  const int64_t count_;
  const DType dtype_;
  const cuda::Scratch scratch_;
};

// Weight and bias, which cuDNN always wants.
class Parameters {
 public:
  Parameters(cuda::Stream& stream, const Problem& problem, const void* weight, const void* bias)
      : ones_(stream, problem, weight == nullptr), zeros_(stream, problem, bias == nullptr) {
    weight_ = weight == nullptr ? ones_.filled(stream, 1) : weight;
    bias_ = bias == nullptr ? zeros_.filled(stream, 0) : bias;
  }

  const void* weight() const { return weight_; }
  const void* bias() const { return bias_; }

 private:
  const Vector ones_;
  const Vector zeros_;
  const void* weight_;
  const void* bias_;
};

size_t reserveBytes(const Library& library, Handle handle, const Setting& setting) {
  size_t bytes = 0;
  CUDNN_CALL(library, GetBatchNormalizationTrainingExReserveSpaceSize, handle, setting.choice.mode, setting.choice.ops,
             setting.activation(), setting.tensor.get(), &bytes);
  return bytes;
}

// Of saved statistics.
size_t rowBytes(const Problem& problem) { return static_cast<size_t>(problem.channels) * sizeOf(problem.parameterDtype); }

cuda::Stream& used(cuda_batchnorm::Stream& stream, std::initializer_list<const void*> memory) {
  auto& own = static_cast<cuda::Stream&>(stream);
  own.use(memory);
  return own;
}

void zero(cuda::Stream& stream, const Problem& problem, void* vector, int64_t rows = 1) {
  if (vector != nullptr) stream.fill(vector, problem.parameterDtype, rows * problem.channels, 0);
}

Error missing(const char* what) { return refusal(std::string("the ") + what + " that the forward pass gave", "needs it in backward"); }

}  // namespace

BackendReport report() {
  BackendReport report;
  report.name = "cudnn";
  try {
    const auto library = Library::open();
    report.available = true;
    report.version = "cuDNN " + library->version();
#ifdef CUDA_BATCHNORM_EMULATED
    report.version += ", a stand-in for tests";  // no other library works on an emulated GPU
#endif
    report.path = library->path();
  } catch (const Unusable& error) {
    report.reason = error.what();
    report.cause = error.cause();
  }
  return report;
}

Backend::Backend(std::optional<Mode> mode) : library_(Library::open()), mode_(mode) {}

size_t Backend::maskBytes(cuda_batchnorm::Device& device, const Problem& problem, bool residual) const {
  if (problem.size() == 0) return 0;
  const Setting setting(*library_, problem, chooseTraining(problem, residual, mode_));
  return reserveBytes(*library_, handleOf(library_, static_cast<cuda::Stream&>(device.defaultStream())), setting);
}

void Backend::trainingForward(cuda_batchnorm::Stream& target, const TrainingForward& call) {
  const Problem& problem = call.problem;
  if (call.runningVariance != nullptr && !call.unbiasedRunningVariance) {
    throw refusal("the unbiased running variance", "stores no other");
  }
  const Choice choice = chooseTraining(problem, call.residual != nullptr, mode_);
  cuda::Stream& stream = used(target, {call.input, call.residual, call.weight, call.bias, call.output, call.statistics, call.mask,
                                       call.runningMean, call.runningVariance});
  // As the native backends do: an empty batch has no statistics.
  if (problem.size() == 0) return zero(stream, problem, call.statistics, 2);

  const Setting setting(*library_, problem, choice);
  const Handle handle = handleOf(library_, stream);
  size_t workspaceBytes = 0;
  CUDNN_CALL(*library_, GetBatchNormalizationForwardTrainingExWorkspaceSize, handle, choice.mode, choice.ops, setting.tensor.get(),
             setting.tensor.get(), setting.tensor.get(), setting.parameters.get(), setting.activation(), &workspaceBytes);
  const size_t reserved = reserveBytes(*library_, handle, setting);
  const cuda::Scratch workspace(stream, workspaceBytes);
  const cuda::Scratch reserve(stream, call.mask == nullptr ? reserved : 0);
  const Parameters parameters(stream, problem, call.weight, call.bias);
  const TensorDescriptor tensor = setting.tensor.get();
  CUDNN_CALL(*library_, BatchNormalizationForwardTrainingEx, handle, choice.mode, choice.ops, setting.blend.one(), setting.blend.zero(),
             tensor, call.input, setting.residual(), call.residual, tensor, call.output, setting.parameters.get(), parameters.weight(),
             parameters.bias(), call.momentum, call.runningMean, call.runningVariance, problem.eps, call.statistics,
             static_cast<char*>(call.statistics) + rowBytes(problem), setting.activation(), workspace.memory(), workspaceBytes,
             call.mask == nullptr ? reserve.memory() : call.mask, reserved);
}

void Backend::inferenceForward(cuda_batchnorm::Stream& target, const InferenceForward& call) {
  const Problem& problem = call.problem;
  const Choice choice = chooseInference(problem, call.residual != nullptr, mode_);
  cuda::Stream& stream = used(target, {call.input, call.mean, call.variance, call.weight, call.bias, call.output});
  if (problem.size() == 0) return;

  const Setting setting(*library_, problem, choice);
  const Parameters parameters(stream, problem, call.weight, call.bias);
  const TensorDescriptor tensor = setting.tensor.get();
  CUDNN_CALL(*library_, BatchNormalizationForwardInference, handleOf(library_, stream), choice.mode, setting.blend.one(),
             setting.blend.zero(), tensor, call.input, tensor, call.output, setting.parameters.get(), parameters.weight(),
             parameters.bias(), call.mean, call.variance, problem.eps);
}

void Backend::backward(cuda_batchnorm::Stream& target, const Backward& call) {
  const Problem& problem = call.problem;
  if (call.constantStatistics) {
    throw refusal("the statistics of the batch in backward", "takes none for constants");
  }
  const Choice choice = chooseTraining(problem, call.gradResidual != nullptr, mode_);
  cuda::Stream& stream = used(target, {call.gradOutput, call.input, call.output, call.mask, call.mean, call.weight, call.bias,
                                       call.gradInput, call.gradWeight, call.gradBias, call.gradResidual});
  if (problem.size() == 0) {
    zero(stream, problem, call.gradWeight);
    return zero(stream, problem, call.gradBias);
  }

  const Setting setting(*library_, problem, choice);
  const Handle handle = handleOf(library_, stream);
  const TensorDescriptor tensor = setting.tensor.get();
  size_t workspaceBytes = 0;
  CUDNN_CALL(*library_, GetBatchNormalizationBackwardExWorkspaceSize, handle, choice.mode, choice.ops, tensor, tensor, tensor,
             setting.residual(), tensor, setting.parameters.get(), setting.activation(), &workspaceBytes);
  const size_t reserved = reserveBytes(*library_, handle, setting);
  if (reserved > 0 && call.mask == nullptr) throw missing("mask");
  if (choice.ops != Ops::Plain && call.output == nullptr) throw missing("output");
  const cuda::Scratch workspace(stream, workspaceBytes);
  const Parameters parameters(stream, problem, call.weight, call.bias);
  const Vector gradWeight(stream, problem, call.gradWeight == nullptr);
  const Vector gradBias(stream, problem, call.gradBias == nullptr);
  CUDNN_CALL(*library_, BatchNormalizationBackwardEx, handle, choice.mode, choice.ops, setting.blend.one(), setting.blend.zero(),
             setting.blend.one(), setting.blend.old(call.accumulates), tensor, call.input, setting.output(), call.output, tensor,
             call.gradOutput, setting.residual(), call.gradResidual, tensor, call.gradInput, setting.parameters.get(), parameters.weight(),
             parameters.bias(), call.gradWeight == nullptr ? gradWeight.memory() : call.gradWeight,
             call.gradBias == nullptr ? gradBias.memory() : call.gradBias, problem.eps, call.mean,
             static_cast<const char*>(call.mean) + rowBytes(problem), setting.activation(), workspace.memory(), workspaceBytes,
             const_cast<void*>(call.mask), reserved);
}

}  // namespace cuda_batchnorm::cudnn
