#include "backend.h"

#include <memory>

#include "batch_norm.h"
#include "device.h"

namespace cuda_batchnorm::cpu {
namespace {

template <typename Call>
void enqueue(cuda_batchnorm::Stream& stream, const Call& call) {
  Device& device = static_cast<Stream&>(stream).device();
  const auto release = [&device](void* block) { device.release(block); };
  const size_t bytes = workspaceBytes(call);
  // Given back as soon as the operation is queued: whoever gets the block next is queued behind it.
  const std::unique_ptr<void, decltype(release)> workspace(bytes == 0 ? nullptr : device.allocate(bytes), release);
  device.queue().submit([&threads = device.threads(), call, scratch = workspace.get()] { run(threads, call, scratch); });
}

}  // namespace

size_t Backend::maskBytes(cuda_batchnorm::Device& /*device*/, const Problem& problem, bool residual) const {
  return residual && gradientNeedsOnlySign(problem.activation) ? static_cast<size_t>(problem.size()) : 0;
}

void Backend::trainingForward(cuda_batchnorm::Stream& stream, const TrainingForward& call) { enqueue(stream, call); }
void Backend::inferenceForward(cuda_batchnorm::Stream& stream, const InferenceForward& call) { enqueue(stream, call); }
void Backend::backward(cuda_batchnorm::Stream& stream, const Backward& call) { enqueue(stream, call); }

}  // namespace cuda_batchnorm::cpu
