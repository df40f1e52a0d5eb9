// Batch normalization on the CPU: puts each operation on the queue with the scratch memory it needs.
#pragma once

#include "../core/backend.h"

namespace cuda_batchnorm::cpu {

class Backend final : public cuda_batchnorm::Backend {
 public:
  size_t maskBytes(cuda_batchnorm::Device& device, const Problem& problem, bool residual) const override;
  void trainingForward(cuda_batchnorm::Stream& stream, const TrainingForward& call) override;
  void inferenceForward(cuda_batchnorm::Stream& stream, const InferenceForward& call) override;
  void backward(cuda_batchnorm::Stream& stream, const Backward& call) override;
};

}  // namespace cuda_batchnorm::cpu
