// Coefficients of the transform from parameters and statistics that are given: before inference, and before backward.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchCoefficients(const KernelChoice& choice, cudaStream_t stream, const CoefficientsArguments& arguments);

}  // namespace cuda_batchnorm::cuda
