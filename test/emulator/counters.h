// What kernels moved to and from global memory, by kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
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
bool countingEnabled();

// Adds to what is known of the kernel.
void addCounters(const KernelCounters& counters);

// Ordered by kernel; the counts begin anew.
std::vector<KernelCounters> takeCounters();

// The accesses of blocks that run at once. The lanes of a warp make one access together where each comes for the n-th time to the same
// place in the code.
class AccessLog {
 public:
  // `thread` numbers those that run at once, and 32 in a row are a warp.
  void add(const void* site, uint32_t thread, uintptr_t address, size_t bytes, bool write);
  // When the blocks have ended.
  void countInto(KernelCounters& counters);

 private:
  struct Site {
    bool write = false;
    uint64_t bytes = 0;
    std::vector<uint32_t> executions;                    // by thread
    std::vector<std::pair<uint64_t, uint64_t>> touched;  // warp and number of the execution, sector
  };

  std::unordered_map<const void*, Site> sites_;
};

}  // namespace cuda_batchnorm::emulator
