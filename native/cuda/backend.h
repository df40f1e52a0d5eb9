// Batch normalization by our own CUDA kernels.
#pragma once

#include <map>
#include <vector>

#include "../core/backend.h"
#include "kernels/arguments.h"
#include "plan.h"

namespace cuda_batchnorm::cuda {

class Device;
class Stream;

class Backend final : public cuda_batchnorm::Backend {
 public:
  // Throws where this build has no kernels for the device.
  explicit Backend(const Device& device);

  std::vector<KernelLaunch> explain(const cuda_batchnorm::Device& device, const Outline& outline) const override;
  void force(const std::string& choice) override;
  size_t maskBytes(cuda_batchnorm::Device& device, const Problem& problem, bool residual) const override;
  void trainingForward(cuda_batchnorm::Stream& stream, const TrainingForward& call) override;
  void inferenceForward(cuda_batchnorm::Stream& stream, const InferenceForward& call) override;
  void backward(cuda_batchnorm::Stream& stream, const Backward& call) override;

 private:
  void normalizedForward(Stream& stream, const TrainingForward& call);
  void renormalizedForward(Stream& stream, const TrainingForward& call);
  // With statistics that are given.
  void transform(Stream& stream, const Problem& problem, const ForwardTensors& tensors, const Parameters& parameters);
  // A plan is made once for each request that comes: training repeats its own.
  Plan& planOf(const Request& request);

  const DeviceProperties properties_;
  Choice choice_;
  std::map<std::vector<int64_t>, Plan> plans_;
};

}  // namespace cuda_batchnorm::cuda
