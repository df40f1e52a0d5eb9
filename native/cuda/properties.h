// What the plan has to know of a GPU.
#pragma once

#include <cstddef>
#include <string>

namespace cuda_batchnorm::cuda {

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
};

}  // namespace cuda_batchnorm::cuda
