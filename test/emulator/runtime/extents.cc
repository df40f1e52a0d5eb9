#include "extents.h"

#include <iterator>
#include <string>

#include "../memory.h"

namespace cuda_batchnorm::emulator {

void beyondEnd(size_t bytes, size_t offset, size_t size) {
  throw Failure(cudaErrorInvalidValue,
                std::to_string(bytes) + " bytes from byte " + std::to_string(offset) + " of memory that has " + std::to_string(size));
}

Extent deviceExtent(const Call& call, const char* address, size_t bytes) {
  const auto after = call.driver.memory.upper_bound(address);
  if (after != call.driver.memory.begin()) {
    const auto& [first, memory] = *std::prev(after);
    const auto offset = static_cast<size_t>(address - first);
    if (offset < memory.bytes) {
      if (bytes > memory.bytes - offset) beyondEnd(bytes, offset, memory.bytes);
      return {memory.id, offset};
    }
  }
  const uint64_t freed = allocationOf(address);
  if (freed == 0) throw Failure(cudaErrorInvalidValue, "an address of no allocation");
  return {freed, 0};
}

}  // namespace cuda_batchnorm::emulator
