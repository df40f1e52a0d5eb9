// Runs kernels on the CPU: every CUDA thread is a fiber, and which one goes on next is random under a seed.
#pragma once

#include <cstdint>
#include <functional>
#include <set>

#include "fault.h"

namespace cuda_batchnorm::emulator {

struct GridShape {
  uint32_t grid = 1;         // blocks, a multiple of cluster
  uint32_t block = 1;        // threads
  uint32_t cluster = 1;      // blocks that run at once and share their shared memory
  uint32_t sharedBytes = 0;  // dynamic, of each block
  bool cooperative = false;  // all blocks run at once
};

// The allocations (allocationOf) that a grid read and wrote.
struct Touched {
  std::set<uint64_t> read;
  std::set<uint64_t> written;
};

// Runs a whole grid on the calling thread, `threadBody` once for each CUDA thread. The same seed gives the same order. Several threads may
// run grids at the same time. Throws Fault; `touched` is filled then too.
void runGrid(const char* kernel, const GridShape& shape, const std::function<void()>& threadBody, uint64_t seed,
             Touched* touched = nullptr);

}  // namespace cuda_batchnorm::emulator
