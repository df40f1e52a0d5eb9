// Where the bytes of device memory lie, and what is known of each; for the emulator's own eyes.
//
// One reservation of address space has four parts, in this order: the device addresses, which nobody may touch; the bytes; the state of
// each byte; the number of each page's allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "address_space.h"
#include "fault.h"

namespace cuda_batchnorm::emulator {

constexpr uintptr_t kArenaBytes = uintptr_t{1} << 36;

// States of a byte are bits; a fence has none of them.
constexpr unsigned char kLive = 1;
constexpr unsigned char kInitialised = 2;
constexpr unsigned char kFreed = 4;

extern uintptr_t arenaBase;  // set by openArena()

// Idempotent; to be called before anything below.
void openArena();

inline bool inArena(uintptr_t address) { return address - arenaBase < kArenaBytes; }
inline unsigned char* bytesAt(uintptr_t address) { return reinterpret_cast<unsigned char*>(address + kArenaBytes); }
inline unsigned char* statesAt(uintptr_t address) { return reinterpret_cast<unsigned char*>(address + 2 * kArenaBytes); }
inline uint32_t& allocationAt(uintptr_t address) {
  return reinterpret_cast<uint32_t*>(arenaBase + 3 * kArenaBytes)[(address - arenaBase) / AddressSpace::kPageBytes];
}

// Whether all of so many bytes, a power of two, have this bit of state.
template <size_t bytes>
inline bool allAre(uintptr_t address, unsigned char state) {
  constexpr size_t kPart = bytes < 8 ? bytes : 8;
  const uint64_t wanted = 0x0101010101010101u * state >> (64 - 8 * kPart);
  uint64_t common = wanted;
  for (size_t i = 0; i < bytes; i += kPart) {
    uint64_t states = 0;
    std::memcpy(&states, statesAt(address) + i, kPart);
    common &= states;
  }
  return common == wanted;
}

// What is wrong with an access that is not allowed; `who` made it.
Fault diagnose(uintptr_t address, size_t bytes, bool write, const std::string& who);

}  // namespace cuda_batchnorm::emulator
