// Training forward: statistics of the batch, saved and running ones, and the output.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<RunsCut>& arguments);
void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<PlanesCut>& arguments);  // wide
void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
