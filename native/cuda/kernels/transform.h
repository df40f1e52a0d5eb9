// Forward with statistics that are given: the last part of training where it cannot be done by the walk that measured, and inference.
#pragma once

#include "arguments.h"
#include "dispatch.h"

namespace cuda_batchnorm::cuda {

// Throws where this build has no kernels for the current device.
void probeKernels(size_t sharedBytesOfDevice);
// How many clusters of so many blocks the current device runs at once where a block has a multiprocessor to itself; after the probe.
int clustersAtOnce(uint32_t blocks, size_t sharedBytesOfDevice);

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<InOrderCut>& arguments);
void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<ColumnsCut>& arguments);

}  // namespace cuda_batchnorm::cuda
