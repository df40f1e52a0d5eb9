// y = activation((x - mean) * scale + shift [+ residual]), with the mask for backward where one is asked for.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<InOrderCut>& arguments);
void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
