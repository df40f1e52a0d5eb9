// Memory pools: how many bytes are used, and how many are taken from the device. Addresses are the arena's affair (memory.h).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "driver.h"

namespace cuda_batchnorm::emulator {

// A size as pools count it.
size_t counted(size_t bytes);

struct Pool {
  Device* device = nullptr;
  size_t maxBytes = 0;  // 0: as many as the device has
  uint64_t releaseThreshold = 0;
  uint64_t reserved = 0;
  uint64_t reservedHigh = 0;
  uint64_t used = 0;  // in the order of calls: what is freed may be given out again at once, ordered after its free
  uint64_t usedHigh = 0;
  uint64_t leaving = 0;  // freed, but the streams are not there yet
  int reuse[3] = {1, 1, 1};
  bool destroyed = false;

  bool take(size_t bytes);  // counted bytes; false where neither pool nor device has them
  void trim(uint64_t bytesToKeep);
};

std::shared_ptr<Pool> makePool(Driver& driver, Device& device, size_t maxBytes);

size_t freeBytes(const Device& device);

// When the host has waited, pools keep no more than their thresholds.
void releaseIdleMemory(Device& device);

}  // namespace cuda_batchnorm::emulator
