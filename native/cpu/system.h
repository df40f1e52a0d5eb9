// What the machine, or the container around this process, lets it use.
#pragma once

#include <cstddef>
#include <string>

namespace cuda_batchnorm::cpu {

// CUDA_BATCHNORM_THREADS if set, else the cores this process may run on; throws ErrorCode::InvalidArgument for a bad setting.
int usableThreads();

size_t usableMemory();  // bytes

std::string processorName();

constexpr size_t kHugePage = size_t{2} << 20;

// Memory straight from the system: aligned to 64 bytes, from kHugePage on to that and in such pages where possible. Null when refused.
void* systemAllocate(size_t bytes) noexcept;
void systemFree(void* block, size_t bytes) noexcept;

}  // namespace cuda_batchnorm::cpu
