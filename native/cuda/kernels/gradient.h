// gradInput = dz * scale + ((x - mean) * slope + offset), and gradResidual = dz.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchGradient(const KernelChoice& choice, cudaStream_t stream, const GradientArguments<InOrderCut>& arguments);
void launchGradient(const KernelChoice& choice, cudaStream_t stream, const GradientArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
