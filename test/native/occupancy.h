// How many blocks of a kernel run at once on one multiprocessor, by CUDA's own calculation.
#pragma once

#include <cuda_occupancy.h>

#include <climits>
#include <cstddef>
#include <vector>

#include "check.h"

namespace cuda_batchnorm::cuda {

// Of a compute capability, by the CUDA programming guide's table. All have 65536 registers, blocks of up to 1024 threads and warps of 32.
struct Generation {
  int major = 0, minor = 0;
  int threads = 0;  // of a multiprocessor
  size_t shared = 0;
  size_t sharedPerBlock = 0;    // most a kernel may ask for
  size_t reservedPerBlock = 0;  // taken by CUDA besides
};

inline const std::vector<Generation>& generations() {
  static const std::vector<Generation> all = {
      {7, 5, 1024, 64 << 10, 64 << 10, 0},      {8, 0, 2048, 164 << 10, 163 << 10, 1024}, {8, 6, 1536, 100 << 10, 99 << 10, 1024},
      {8, 9, 1536, 100 << 10, 99 << 10, 1024},  {9, 0, 2048, 228 << 10, 227 << 10, 1024}, {10, 0, 2048, 228 << 10, 227 << 10, 1024},
      {12, 0, 1536, 100 << 10, 99 << 10, 1024},
  };
  return all;
}

// What a launch takes of the machine. `registers` is what ptxas reports, of one thread.
struct Footprint {
  int registers = 0;
  int threads = 0;
  size_t staticShared = 0, dynamicShared = 0;
};

inline int residentBlocks(const Generation& generation, const Footprint& footprint) {
  cudaOccDeviceProp device;
  device.computeMajor = generation.major;
  device.computeMinor = generation.minor;
  device.maxThreadsPerBlock = 1024;
  device.maxThreadsPerMultiprocessor = generation.threads;
  device.regsPerBlock = device.regsPerMultiprocessor = 65536;
  device.warpSize = 32;
  device.sharedMemPerBlock = 48 << 10;
  device.sharedMemPerMultiprocessor = generation.shared;
  device.numSms = 1;
  device.sharedMemPerBlockOptin = generation.sharedPerBlock;
  device.reservedSharedMemPerBlock = generation.reservedPerBlock;

  cudaOccFuncAttributes kernel;
  kernel.maxThreadsPerBlock = INT_MAX;
  kernel.numRegs = footprint.registers;
  kernel.sharedSizeBytes = footprint.staticShared;
  kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  kernel.maxDynamicSharedSizeBytes = generation.sharedPerBlock - footprint.staticShared;
  kernel.numBlockBarriers = 1;

  cudaOccResult result;
  const cudaOccDeviceState state;
  CHECK(cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, footprint.threads, footprint.dynamicShared) ==
        CUDA_OCC_SUCCESS);
  return result.activeBlocksPerMultiprocessor;
}

}  // namespace cuda_batchnorm::cuda
