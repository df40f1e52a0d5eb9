// Batch normalization by our own CUDA kernels.
#pragma once

#include "../core/backend.h"

namespace cuda_batchnorm::cuda {

class Device;

class Backend final : public cuda_batchnorm::Backend {
 public:
  // Prepares the device's kernels; throws where this build has none for it.
  explicit Backend(const Device& device);

  std::vector<KernelLaunch> explain(const cuda_batchnorm::Device& device, const Outline& outline) const override;
  size_t maskBytes(cuda_batchnorm::Device& device, const Problem& problem, bool residual) const override;
  void trainingForward(cuda_batchnorm::Stream& stream, const TrainingForward& call) override;
  void inferenceForward(cuda_batchnorm::Stream& stream, const InferenceForward& call) override;
  void backward(cuda_batchnorm::Stream& stream, const Backward& call) override;
};

}  // namespace cuda_batchnorm::cuda
