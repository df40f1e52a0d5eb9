// Elements of one dtype as another, rounded once; and one value many times.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "../../core/dtype.h"

namespace cuda_batchnorm::cuda {

// Both do nothing for no elements. Device memory; the two ranges must not overlap.
void convert(cudaStream_t stream, void* destination, DType to, const void* source, DType from, int64_t count);
void fill(cudaStream_t stream, void* destination, DType dtype, int64_t count, double value);

}  // namespace cuda_batchnorm::cuda
