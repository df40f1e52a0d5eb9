// What the plan has to know of a GPU.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace cuda_batchnorm::cuda {

constexpr uint32_t kMostClusterBlocks = 8;  // that every device with clusters is made for

struct DeviceProperties {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int multiprocessors = 0;
  size_t sharedPerBlock = 0;           // most a kernel may ask for
  size_t sharedPerMultiprocessor = 0;  // for the blocks that it has at a time
  size_t sharedReserved = 0;           // of that, taken by each block besides what it asks for
  int threadsPerMultiprocessor = 0;
  int registersPerMultiprocessor = 0;
  double bytesPerSecond = 0;  // the memory's peak
  bool cooperative = true;    // grids whose blocks all run at once
  size_t memoryBytes = 0;
  // Of each number of blocks, how many clusters run at once where a block has a multiprocessor to itself. A cluster has its place in one
  // group of multiprocessors, whose sizes differ, so some are left over; a slice of a device may be too small for any. Where it is not
  // known, as many as there are multiprocessors for.
  std::array<std::optional<int>, kMostClusterBlocks + 1> clusters;
};

}  // namespace cuda_batchnorm::cuda
