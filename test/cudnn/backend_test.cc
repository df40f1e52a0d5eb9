// What the cuDNN backend leaves behind: nothing, whatever fails on the way; and one handle for each stream.
#include "../../native/cudnn/backend.h"

#include <dlfcn.h>

#include <string>
#include <vector>

#include "../../native/cuda/runtime/device.h"
#include "../native/check.h"
#include "stand_in/hooks.h"

namespace {

using namespace cuda_batchnorm;

constexpr int64_t kRows = 6;
constexpr int64_t kChannels = 4;

template <class Function>
Function* hook(const char* name) {
  const auto library = cudnn::Library::open();
  void* const opened = dlopen(library->path().c_str(), RTLD_NOLOAD | RTLD_LAZY);
  CHECK(opened != nullptr);
  return reinterpret_cast<Function*>(dlsym(opened, name));
}

size_t livingHandles() { return hook<decltype(standInLivingHandles)>("standInLivingHandles")(); }
size_t livingDescriptors() { return hook<decltype(standInLivingDescriptors)>("standInLivingDescriptors")(); }

// Fused training on a stream, with its own memory.
class Step {
 public:
  explicit Step(cuda::Device& device) : device_(device), backend_(std::nullopt) {
    problem_.outer = kRows;
    problem_.channels = kChannels;
    problem_.inner = 1;
    problem_.activation = Activation::Relu;
    constexpr size_t kTensors = 7;
    for (size_t i = 0; i < kTensors; ++i) blocks_.push_back(device.allocate(static_cast<size_t>(problem_.size()) * sizeof(float)));
  }
  ~Step() {
    for (void* const block : blocks_) device_.release(block);
  }
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  void run(Stream& stream) {
    void* const mask = device_.allocate(backend_.maskBytes(device_, problem_, true));
    try {
      forward(stream, mask);
      backward(stream, mask);
    } catch (...) {
      device_.release(mask);
      throw;
    }
    device_.release(mask);
    stream.synchronize();
  }

 private:
  void* tensor(size_t i) const { return blocks_[i]; }

  void forward(Stream& stream, void* mask) {
    for (size_t i = 0; i < 2; ++i) stream.fill(tensor(i), DType::Float32, problem_.size(), 1 + static_cast<double>(i));
    TrainingForward call;
    call.problem = problem_;
    call.input = tensor(0);
    call.residual = tensor(1);
    call.output = tensor(2);
    call.statistics = tensor(3);
    call.mask = mask;
    backend_.trainingForward(stream, call);
  }

  void backward(Stream& stream, void* mask) {
    Backward call;
    call.problem = problem_;
    call.gradOutput = tensor(1);
    call.input = tensor(0);
    call.output = tensor(2);
    call.mask = mask;
    call.mean = tensor(3);
    call.gradInput = tensor(4);
    call.gradBias = tensor(5);
    call.gradResidual = tensor(6);
    backend_.backward(stream, call);
  }

  cuda::Device& device_;
  cudnn::Backend backend_;
  Problem problem_;
  std::vector<void*> blocks_;
};

void eachStreamHasItsHandle() {
  CHECK(livingHandles() == 0);
  {
    cuda::Device device(0);
    const auto second = device.createStream();
    {
      Step step(device);
      for (int round = 0; round < 3; ++round) {
        step.run(device.defaultStream());
        step.run(*second);
      }
    }
    CHECK(livingHandles() == 2);
    CHECK(livingDescriptors() == 0);
  }
  CHECK(livingHandles() == 0);
}

void failuresLeaveNothing() {
  cuda::Device device(0);
  Step step(device);
  step.run(device.defaultStream());
  const size_t live = device.memory().live;
  const auto failNext = hook<decltype(standInFailNext)>("standInFailNext");
  const char* const functions[] = {"cudnnCreateTensorDescriptor",
                                   "cudnnSetTensor4dDescriptor",
                                   "cudnnDeriveBNTensorDescriptor",
                                   "cudnnCreateActivationDescriptor",
                                   "cudnnSetActivationDescriptor",
                                   "cudnnGetBatchNormalizationTrainingExReserveSpaceSize",
                                   "cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize",
                                   "cudnnGetBatchNormalizationBackwardExWorkspaceSize",
                                   "cudnnBatchNormalizationForwardTrainingEx",
                                   "cudnnBatchNormalizationBackwardEx"};
  for (const char* const function : functions) {
    failNext(function, 4000);
    const Error error = errorOf([&] { step.run(device.defaultStream()); });
    CHECK(error.code() == ErrorCode::Cudnn);
    CHECK(std::string(error.what()).find("(4000)") != std::string::npos);
    CHECK(livingDescriptors() == 0);
    CHECK(device.memory().live == live);
    step.run(device.defaultStream());
  }
}

void failedHandlesAreMadeAnew() {
  const auto failNext = hook<decltype(standInFailNext)>("standInFailNext");
  cuda::Device device(0);
  Step step(device);
  for (const char* const function : {"cudnnCreate", "cudnnSetStream"}) {
    failNext(function, 1001);
    CHECK(errorOf([&] { step.run(device.defaultStream()); }).code() == ErrorCode::Cudnn);
    CHECK(livingHandles() == 0);
  }
  step.run(device.defaultStream());
  CHECK(livingHandles() == 1);
}

}  // namespace

int main() {
  eachStreamHasItsHandle();
  failuresLeaveNothing();
  failedHandlesAreMadeAnew();
  return 0;
}
