// Batch renormalization's part between measuring a batch and writing its output.
#pragma once

#include <cuda_runtime.h>

#include "arguments.h"

namespace cuda_batchnorm::cuda {

// From the batch's statistics and the running ones: saves the former with r and d, corrects weight and bias, and then updates the latter.
void renormalize(cudaStream_t stream, const RenormArguments& arguments);

}  // namespace cuda_batchnorm::cuda
