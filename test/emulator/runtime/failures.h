// Failures that a test asks for: the n-th next allocation, copy or launch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "../control.h"

namespace cuda_batchnorm::emulator {

class FailurePlan {
 public:
  // 1 is the next one; 0: none.
  void plan(FailureKind kind, uint64_t nth) { left_[static_cast<size_t>(kind)] = nth; }
  void clear() { left_ = {}; }

  // Counts one call; true where it is the one to fail.
  bool strikes(FailureKind kind) {
    uint64_t& left = left_[static_cast<size_t>(kind)];
    return left != 0 && --left == 0;
  }

 private:
  std::array<uint64_t, 3> left_ = {};
};

}  // namespace cuda_batchnorm::emulator
