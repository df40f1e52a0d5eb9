// Every call of the CUDA runtime goes through here: a failure becomes an Error with the call's name and place.
#pragma once

#include <cuda_runtime.h>

namespace cuda_batchnorm::cuda {

// Throws ErrorCode::Cuda, or OutOfMemory where the device has no more memory.
[[noreturn]] void fail(cudaError_t error, const char* call, const char* file, int line);

inline void check(cudaError_t error, const char* call, const char* file, int line) {
  if (error != cudaSuccess) fail(error, call, file, line);
}

// For destructors, and for cleaning up after a failure that was told already: what fails here fails silently.
inline void quietly(cudaError_t error) noexcept {
  if (error != cudaSuccess) cudaGetLastError();
}

}  // namespace cuda_batchnorm::cuda

#define CUDA_CHECK(call) ::cuda_batchnorm::cuda::check((call), #call, __FILE__, __LINE__)
