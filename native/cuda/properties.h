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
  size_t sharedPerBlock = 0;  // most a kernel may ask for
  size_t memoryBytes = 0;
};

}  // namespace cuda_batchnorm::cuda
