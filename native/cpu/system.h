// What the machine, or the container around this process, lets it use.
#pragma once

#include <cstddef>
#include <string>
#include <thread>

namespace cuda_batchnorm::cpu {

// CUDA_BATCHNORM_THREADS if set, else the cores this process may run on; throws ErrorCode::InvalidArgument for a bad setting.
int usableThreads();

int usableCores();  // that the system may run the calling thread on

int currentCore();  // of the calling thread; -1 where that is not known

// Has the thread run on the cores that the calling thread may run on, but for one. Where none is left, or the system will not, nothing
// changes.
void keepOff(int core, std::thread& thread) noexcept;

size_t usableMemory();  // bytes

std::string processorName();

constexpr size_t kHugePage = size_t{2} << 20;

// Memory straight from the system: aligned to 64 bytes, from kHugePage on to that and in such pages where possible. Null when refused.
void* systemAllocate(size_t bytes) noexcept;
void systemFree(void* block, size_t bytes) noexcept;

}  // namespace cuda_batchnorm::cpu
