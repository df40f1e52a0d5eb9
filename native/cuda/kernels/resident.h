// One block per channel, which reads its channel from memory once and keeps it: training forward moves two tensors, backward three.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

// Not for float64.
void launchResidentForward(const KernelChoice& choice, cudaStream_t stream, const ResidentForwardArguments& arguments);
void launchResidentBackward(const KernelChoice& choice, cudaStream_t stream, const ResidentBackwardArguments& arguments);

}  // namespace cuda_batchnorm::cuda
