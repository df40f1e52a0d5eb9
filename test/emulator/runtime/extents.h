// Which allocation of device memory a range of addresses is in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "driver.h"

namespace cuda_batchnorm::emulator {

struct Extent {
  uint64_t id = 0;
  size_t offset = 0;
};

// "8 bytes from byte 60 of memory that has 64": ends the call.
[[noreturn]] void beyondEnd(size_t bytes, size_t offset, size_t size);

// Ends the call with an error unless all the bytes are of one allocation. Of memory that was freed lately only the number is told: using it
// is a fault when the work runs.
Extent deviceExtent(const Call& call, const char* address, size_t bytes);

}  // namespace cuda_batchnorm::emulator
