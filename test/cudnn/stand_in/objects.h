// What the stand-in gives out: handles and descriptors. It knows the living ones, so that a use after destruction is noticed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "../../../native/cudnn/abi.h"

namespace cuda_batchnorm::cudnn {

struct HandleStruct {
  CudaStream stream = nullptr;
  bool hasStream = false;
};

struct TensorStruct {
  bool set = false;
  Format format = Format::NCHW;
  DataType type = DataType::Float;
  int n = 0, c = 0, h = 0, w = 0;
  // Of parameters: what they were derived from.
  bool derived = false;
  Mode mode = Mode::Spatial;

  int64_t size() const { return int64_t{n} * c * h * w; }
  bool operator==(const TensorStruct& other) const {
    return format == other.format && type == other.type && n == other.n && c == other.c && h == other.h && w == other.w;
  }
  std::string words() const;
};

struct ActivationStruct {
  bool set = false;
  ActivationMode mode = ActivationMode::Identity;
};

}  // namespace cuda_batchnorm::cudnn

namespace cuda_batchnorm::stand_in {

// A call that cuDNN would not have taken, or that would have gone wrong: what is wrong with it, in words.
class Complaint : public std::runtime_error {
 public:
  Complaint(cudnn::Status status, const std::string& words) : std::runtime_error(words), status_(status) {}
  cudnn::Status status() const { return status_; }

 private:
  cudnn::Status status_;
};

inline Complaint badParameter(const std::string& words) { return {cudnn::kBadParameter, words}; }
inline Complaint notSupported(const std::string& words) { return {cudnn::kNotSupported, words}; }

size_t sizeOf(cudnn::DataType type);

// Throw where it is not a living one that was set. `name` is the parameter's.
cudnn::HandleStruct& living(cudnn::Handle handle);
cudnn::TensorStruct& living(cudnn::TensorDescriptor descriptor, const char* name);
const cudnn::TensorStruct& complete(cudnn::TensorDescriptor descriptor, const char* name);
const cudnn::ActivationStruct& complete(cudnn::ActivationDescriptor descriptor);

}  // namespace cuda_batchnorm::stand_in
