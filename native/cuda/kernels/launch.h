// The one way to launch a kernel, on a real device and on the emulated one.
#pragma once

#include <cuda_runtime.h>

#include "../runtime/check.h"
#include "arguments.h"

namespace cuda_batchnorm::cuda {

// All threads of the process share what is set here, so it is always the most there is.
inline void allowSharedMemory(const void* kernel) {
  int device = 0;
  int most = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
}

template <class Arguments>
void launch(void (*kernel)(Arguments), const LaunchShape& shape, cudaStream_t stream, const Arguments& arguments) {
  constexpr uint32_t kPlainShared = 48 << 10;  // more has to be asked for
  if (shape.sharedBytes > kPlainShared) allowSharedMemory(reinterpret_cast<const void*>(kernel));
  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.grid);
  config.blockDim = dim3(shape.block);
  config.dynamicSmemBytes = shape.sharedBytes;
  config.stream = stream;
  config.attrs = attributes;
  if (shape.cluster > 1) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = shape.cluster;
    attribute.val.clusterDim.y = 1;
    attribute.val.clusterDim.z = 1;
  }
  if (shape.cooperative) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
  }
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments));
}

}  // namespace cuda_batchnorm::cuda
