// Backward's sums over each channel, of dz and of dz * (x - mean), which become the gradients of weight and bias and the coefficients of
// the input's gradient. dz is the gradient at the pre-activation.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchGradientSums(const KernelChoice& choice, cudaStream_t stream, const GradientSumsArguments<RunsCut>& arguments);
void launchGradientSums(const KernelChoice& choice, cudaStream_t stream, const GradientSumsArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
