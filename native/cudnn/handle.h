// cuDNN's handle of one CUDA stream.
#pragma once

#include <memory>

#include "../cuda/runtime/stream.h"
#include "library.h"

namespace cuda_batchnorm::cudnn {

// The stream's own: made at first use, destroyed before the stream.
Handle handleOf(const std::shared_ptr<const Library>& library, cuda::Stream& stream);

}  // namespace cuda_batchnorm::cudnn
