// One exception type for everything native; the binding turns it into a BatchNormError with the same code.
#pragma once

#include <stdexcept>
#include <string>

namespace cuda_batchnorm {

enum class ErrorCode { InvalidArgument, State, DeviceUnavailable, OutOfMemory, Cuda, Cudnn };

// The stable code that JavaScript sees.
inline const char* name(ErrorCode code) {
  switch (code) {
    case ErrorCode::InvalidArgument:
      return "ERR_INVALID_ARGUMENT";
    case ErrorCode::State:
      return "ERR_STATE";
    case ErrorCode::DeviceUnavailable:
      return "ERR_DEVICE_UNAVAILABLE";
    case ErrorCode::OutOfMemory:
      return "ERR_OUT_OF_MEMORY";
    case ErrorCode::Cuda:
      return "ERR_CUDA";
    case ErrorCode::Cudnn:
      return "ERR_CUDNN";
  }
  return "ERR_INVALID_ARGUMENT";
}

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace cuda_batchnorm
