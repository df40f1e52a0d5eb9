// Batch renormalization's part between measuring a batch and writing its output.
#pragma once

#include <cuda_runtime.h>

#include "arguments.h"

namespace cuda_batchnorm::cuda {

// From the statistics that a forward pass saved, and the running ones: saves r and d beside them, and then updates the running ones.
void renormalize(cudaStream_t stream, const RenormArguments& arguments);

}  // namespace cuda_batchnorm::cuda
