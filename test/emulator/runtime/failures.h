// Failures that a test asks for: from the n-th next allocation, copy or launch on, so many in a row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "../control.h"

namespace cuda_batchnorm::emulator {

class FailurePlan {
 public:
  // 1 is the next one; 0: none.
  void plan(FailureKind kind, uint64_t nth, uint64_t times) { strikes_[static_cast<size_t>(kind)] = {nth, nth == 0 ? 0 : times}; }
  void clear() { strikes_ = {}; }

  // Counts one call; true where it is one to fail.
  bool strikes(FailureKind kind) {
    Strikes& strikes = strikes_[static_cast<size_t>(kind)];
    if (strikes.left == 0 || --strikes.next > 0) return false;
    strikes.next = 1;
    --strikes.left;
    return true;
  }

 private:
  struct Strikes {
    uint64_t next = 0;  // calls until one fails
    uint64_t left = 0;
  };
  std::array<Strikes, 3> strikes_ = {};
};

}  // namespace cuda_batchnorm::emulator
