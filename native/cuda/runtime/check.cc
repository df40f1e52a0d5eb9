#include "check.h"

#include <cstring>
#include <string>

#include "../../core/error.h"

namespace cuda_batchnorm::cuda {

namespace {

// What there is of the current device's memory, where it says so.
std::string memoryLeft() {
  size_t free = 0;
  size_t total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  quietly(error);
  return error == cudaSuccess ? "; " + std::to_string(free) + " of the device's " + std::to_string(total) + " bytes are free" : "";
}

}  // namespace

void fail(cudaError_t error, const char* call, const char* file, int line) {
  cudaGetLastError();  // an error that is not sticky ends here; one that is stays whatever we do
  const char* const slash = std::strrchr(file, '/');
  const std::string message = std::string(call, std::strcspn(call, "(")) + " failed at " + (slash == nullptr ? file : slash + 1) + ":" +
                              std::to_string(line) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  if (error == cudaErrorMemoryAllocation) throw Error(ErrorCode::OutOfMemory, message + memoryLeft());
  throw Error(ErrorCode::Cuda, message);
}

}  // namespace cuda_batchnorm::cuda
