#include "check.h"

#include <cstring>
#include <string>

#include "../../core/error.h"

namespace cuda_batchnorm::cuda {

void fail(cudaError_t error, const char* call, const char* file, int line) {
  cudaGetLastError();  // an error that is not sticky ends here; one that is stays whatever we do
  const char* const slash = std::strrchr(file, '/');
  const std::string message = std::string(call, std::strcspn(call, "(")) + " failed at " + (slash == nullptr ? file : slash + 1) + ":" +
                              std::to_string(line) + ": " + cudaGetErrorName(error) + ": " + cudaGetErrorString(error);
  throw Error(error == cudaErrorMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Cuda, message);
}

}  // namespace cuda_batchnorm::cuda
