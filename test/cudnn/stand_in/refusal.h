// How a call ends that is not done, and how often it was the caller's fault.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

#include "../../../native/cudnn/abi.h"

namespace cuda_batchnorm::cudnn {

class Refusal : public std::runtime_error {
 public:
  Refusal(Status status, const std::string& words) : std::runtime_error(words), status_(status) {}
  Status status() const { return status_; }

 private:
  Status status_;
};

// The caller made a mistake.
[[noreturn]] void complain(const std::string& words);
// cuDNN has no such thing.
[[noreturn]] void refuseUnsupported(const std::string& words);

// One that shows when the work runs.
void countComplaint();
size_t complaints();
void forgetComplaints();

}  // namespace cuda_batchnorm::cudnn
