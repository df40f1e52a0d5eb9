// The one way to launch a kernel, on a real device and on the emulated one.
#pragma once

#include <cuda_runtime.h>

#include "../runtime/check.h"
#include "arguments.h"

namespace cuda_batchnorm::cuda {

// Lets a kernel have so many bytes of dynamic shared memory on the current device. All threads of the process share what is set here, so it
// should always be the most there is.
template <class Arguments>
void allowSharedMemory(void (*kernel)(Arguments), uint32_t bytes) {
  CUDA_CHECK(
      cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

// A shape as CUDA is told it.
struct LaunchConfig {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};

  LaunchConfig(const LaunchShape& shape, cudaStream_t stream) {
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
  }
  LaunchConfig(const LaunchConfig&) = delete;  // it points into itself
  LaunchConfig& operator=(const LaunchConfig&) = delete;
};

// How many clusters of this shape can run at once on the current device.
template <class Arguments>
int clustersAtOnce(void (*kernel)(Arguments), const LaunchShape& shape) {
  const LaunchConfig told(shape, nullptr);
  int clusters = 0;
  CUDA_CHECK(cudaOccupancyMaxActiveClusters(&clusters, reinterpret_cast<const void*>(kernel), &told.config));
  return clusters;
}

template <class Arguments>
void launch(void (*kernel)(Arguments), const LaunchShape& shape, cudaStream_t stream, const Arguments& arguments) {
  constexpr uint32_t kAlwaysAllowed = 48 << 10;
  if (shape.sharedBytes > kAlwaysAllowed && !shape.allowed) allowSharedMemory(kernel, shape.sharedLimit);
  const LaunchConfig told(shape, stream);
  CUDA_CHECK(cudaLaunchKernelEx(&told.config, kernel, arguments));
}

}  // namespace cuda_batchnorm::cuda
