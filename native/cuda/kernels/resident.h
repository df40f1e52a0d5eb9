// One block per channel, which reads its channel from memory once and keeps it: training forward moves two tensors, backward three.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

// Before the first launch on a device, with that one current: lets the kernels have so much shared memory.
void allowResidentForward(size_t sharedBytes);
void allowResidentBackward(size_t sharedBytes);

// Not for float64.
void launchResidentForward(const KernelChoice& choice, cudaStream_t stream, const ResidentForwardArguments& arguments);
void launchResidentBackward(const KernelChoice& choice, cudaStream_t stream, const ResidentBackwardArguments& arguments);

}  // namespace cuda_batchnorm::cuda
