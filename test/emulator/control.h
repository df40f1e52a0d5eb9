// What tests tell the emulator, beside the calls of CUDA's runtime, and what they ask it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cuda_batchnorm::emulator {

// Allocations are those of device memory and of pinned memory, copies include memset, launches those of kernels,
// graphs and libraries' work.
enum class FailureKind { Allocation, Copy, Launch };

// The order of fibers and blocks follows from it.
void setSeed(uint64_t seed);

// The n-th next call of this kind fails, and those after it until so many have; 1 is the next one, 0 calls it off. The error is not
// sticky.
void failNth(FailureKind kind, uint64_t nth, uint64_t times = 1);

// Failed devices work again, nothing fails on purpose. Waits for the work of failed devices to be dropped.
void reset();

// Pinned host memory that is not freed.
size_t pinnedBytes();

// The words of the last fault since reset(); empty where there was none.
std::string lastFault();

}  // namespace cuda_batchnorm::emulator
