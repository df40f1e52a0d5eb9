// How a problem is put to cuDNN: the mode, the fused operations, the format. Refuses what cuDNN has no way to say.
#pragma once

#include <optional>

#include "../core/backend.h"
#include "abi.h"

namespace cuda_batchnorm::cudnn {

struct Choice {
  Mode mode = Mode::Spatial;
  Ops ops = Ops::Plain;
  Format format = Format::NCHW;
  ActivationMode activation = ActivationMode::Identity;
};

// Of training, forward and backward. Throws ErrorCode::InvalidArgument.
Choice chooseTraining(const Problem& problem, bool residual, std::optional<Mode> mode);
Choice chooseInference(const Problem& problem, bool residual, std::optional<Mode> mode);

}  // namespace cuda_batchnorm::cudnn
