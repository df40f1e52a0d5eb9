// Statistics of a batch: each channel's moments, saved and running statistics, and the coefficients of the transform.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchMoments(const KernelChoice& choice, cudaStream_t stream, const MomentsArguments<RunsCut>& arguments);
void launchMoments(const KernelChoice& choice, cudaStream_t stream, const MomentsArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
