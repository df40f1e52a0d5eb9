// Errors as CUDA tells them: a code that each call returns, the thread's last one, and words.
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace cuda_batchnorm::emulator {

// How a call of the runtime ends early.
class Failure : public std::runtime_error {
 public:
  Failure(cudaError_t code, const std::string& words) : std::runtime_error(words), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

// Becomes the thread's last error; cudaGetErrorString(code) gives the words on this thread until another call fails.
cudaError_t remember(cudaError_t code, const std::string& words);

void forgetLastError();

// Which sticky error a fault is.
cudaError_t codeOf(const std::string& faultKind);

}  // namespace cuda_batchnorm::emulator
