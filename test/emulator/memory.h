// The emulated device's memory. A device address lies in a reservation that nobody may touch, so host code that dereferences it ends at
// once, in words; the bytes lie at a fixed distance from it, and so does the state of each byte.
//
// Every function may be called from any thread. That two of them do not touch the same bytes at once is up to the callers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "fault.h"

namespace cuda_batchnorm::emulator {

// Fenced on both sides, filled with 0xff (NaN), uninitialised. nullptr for 0 bytes; std::bad_alloc where the reservation is used up: how
// much memory a device has is the caller's affair.
void* allocateDevice(size_t bytes);

// The addresses are not used again soon. Throws Fault where this is not the start of a live allocation; nullptr is ignored.
void freeDevice(void* memory);

// An address within the reservation, allocated or not.
bool isDevicePointer(const void* memory);

// The bytes themselves, for host code to copy to and from. Throws Fault unless all of them belong to one live allocation.
char* backing(const void* memory, size_t bytes);

// What kernels may read. Neither function checks that the bytes are allocated: see backing().
void markInitialised(const void* memory, size_t bytes);
bool isInitialised(const void* memory, size_t bytes);

// After a copy from device to device: what was uninitialised still is.
void carryInitialised(void* destination, const void* source, size_t bytes);

// The number of the allocation that this address is in, live or lately freed; 0 for none. No number is given twice.
uint64_t allocationOf(const void* memory);

// The bytes asked for and not freed.
size_t liveBytes();

}  // namespace cuda_batchnorm::emulator
