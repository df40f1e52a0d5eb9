// What kernels moved to and from global memory, by kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cuda_batchnorm::emulator {

struct KernelCounters {
  std::string kernel;
  uint64_t launches = 0;
  uint64_t loadBytes = 0;
  uint64_t storeBytes = 0;
  uint64_t loadSectors = 0;  // of 32 bytes, distinct ones of each warp-wide access
  uint64_t storeSectors = 0;
};

// Off at first, because it costs time. A grid counts if this was on when it began.
void enableCounting(bool enabled);

// Ordered by kernel; the counts begin anew.
std::vector<KernelCounters> takeCounters();

}  // namespace cuda_batchnorm::emulator
