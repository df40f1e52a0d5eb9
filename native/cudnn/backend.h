// Batch normalization by cuDNN: the reference. What cuDNN cannot do is refused in words, and never done by other means.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "../core/backend.h"
#include "library.h"

namespace cuda_batchnorm::cudnn {

// Whether there is a library; not whether there is a GPU for it.
BackendReport report();

class Backend final : public cuda_batchnorm::Backend {
 public:
  // Without a mode each operation takes the one it needs, or the most accurate one. Throws Unusable.
  explicit Backend(std::optional<Mode> mode);

  size_t maskBytes(cuda_batchnorm::Device& device, const Problem& problem, bool residual) const override;
  void trainingForward(cuda_batchnorm::Stream& stream, const TrainingForward& call) override;
  void inferenceForward(cuda_batchnorm::Stream& stream, const InferenceForward& call) override;
  void backward(cuda_batchnorm::Stream& stream, const Backward& call) override;

 private:
  const std::shared_ptr<const Library> library_;
  const std::optional<Mode> mode_;
};

}  // namespace cuda_batchnorm::cudnn
