// Backward: the gradients of input, residual, weight and bias.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<RunsCut>& arguments);
void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<PlanesCut>& arguments);  // wide
void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
