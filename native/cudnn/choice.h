// How a problem is put to cuDNN: the mode, the fused operations, the format. Refuses what cuDNN has no way to say.
#pragma once

#include <optional>
#include <string>

#include "../core/backend.h"
#include "abi.h"

namespace cuda_batchnorm::cudnn {

struct Choice {
  Mode mode = Mode::Spatial;
  Ops ops = Ops::Plain;
  Format format = Format::NCHW;
  ActivationMode activation = ActivationMode::Identity;
};

// What cuDNN cannot do, and why.
Error refusal(const std::string& expected, const std::string& why);

// Of training, forward and backward. Throws a refusal.
Choice chooseTraining(const Problem& problem, bool residual, std::optional<Mode> mode);
Choice chooseInference(const Problem& problem, bool residual, std::optional<Mode> mode);

}  // namespace cuda_batchnorm::cudnn
