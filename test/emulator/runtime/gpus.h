// The GPUs that can be emulated, with their true limits.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace cuda_batchnorm::emulator {

struct Gpu {
  const char* name;  // "H200"
  int major;         // compute capability
  int minor;
  int multiprocessors;
  int threadsPerMultiprocessor;
  int blocksPerMultiprocessor;
  size_t sharedPerBlock;  // the most a kernel can ask for
  size_t sharedPerMultiprocessor;
  size_t sharedReserved;  // of each block, by the system
  size_t l2Bytes;
  int memoryBits;       // width of the memory's bus
  int memoryKilohertz;  // at which it moves two bits on each line
  int clusterGroups;    // of multiprocessors, in one of which a cluster has its place; devices of one name differ in their sizes

  bool clusters() const { return major >= 9; }
};

constexpr int kWarp = 32;
constexpr int kThreadsPerBlock = 1024;
constexpr int kRegistersPerMultiprocessor = 64 << 10;
constexpr int kRegistersPerThread = 128;           // of every kernel, unless its blocks are so large that only one with fewer can start
constexpr size_t kPlainSharedPerBlock = 48 << 10;  // without asking
constexpr unsigned kPortableCluster = 8;

// nullptr where there is none of this name.
const Gpu* findGpu(const char* name);

cudaDeviceProp propertiesOf(const Gpu& gpu, int device, size_t memoryBytes);

// How many blocks of this shape one multiprocessor holds; 0 where it cannot hold any.
int blocksPerMultiprocessor(const Gpu& gpu, uint32_t threads, size_t sharedBytes);

// How many clusters of so many such blocks the whole GPU holds.
int clustersAtOnce(const Gpu& gpu, uint32_t cluster, uint32_t threads, size_t sharedBytes);

}  // namespace cuda_batchnorm::emulator
