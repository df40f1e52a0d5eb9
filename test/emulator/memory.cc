#include "memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <new>
#include <sstream>

#include "address_space.h"
#include "arena.h"

namespace cuda_batchnorm::emulator {

uintptr_t arenaBase = 0;

namespace {

constexpr uintptr_t kReservedBytes = 3 * kArenaBytes + kArenaBytes / AddressSpace::kPageBytes * sizeof(uint32_t);
uintptr_t addressOf(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

// ---- what happens when host code dereferences a device address ----

struct sigaction previousAction;

// Only what a signal handler may do.
void complain(uintptr_t address) {
  char text[] = "emulator: host access to device memory at 0x0000000000000000\n";
  for (size_t digit = sizeof text - 3; address != 0; --digit, address >>= 4) text[digit] = "0123456789abcdef"[address & 15];
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return;
}

// The access is repeated when this returns, and the process then ends as it would have without the emulator.
void onBadAccess(int signal, siginfo_t* info, void* context) {
  const uintptr_t address = addressOf(info->si_addr);
  const bool chained = !inArena(address) && (previousAction.sa_flags & SA_SIGINFO) != 0;
  if (chained) return previousAction.sa_sigaction(signal, info, context);
  if (inArena(address)) complain(address);
  sigaction(SIGSEGV, &previousAction, nullptr);
}

void watchHostAccess() {
  struct sigaction action = {};
  action.sa_sigaction = onBadAccess;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &previousAction);
}

uintptr_t reserve() {
  void* memory = mmap(nullptr, kReservedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  char* usable = static_cast<char*>(memory) + kArenaBytes;
  if (mprotect(usable, kReservedBytes - kArenaBytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  madvise(memory, kReservedBytes, MADV_DONTDUMP);
  return addressOf(memory);
}

// ---- allocations and what is known of their bytes ----

class Arena {
 public:
  void* allocate(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto& allocation = addresses_.allocate(bytes);
    number(allocation, allocation.second.number);
    std::memset(bytesAt(allocation.first), 0xff, bytes);
    std::memset(statesAt(allocation.first), kLive, bytes);
    return reinterpret_cast<void*>(allocation.first);
  }

  void free(uintptr_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t bytes = addresses_.free(address).second.bytes;
    std::memset(statesAt(address), kFreed, bytes);
    madvise(bytesAt(address), AddressSpace::wholePages(bytes), MADV_DONTNEED);
    for (const AddressSpace::Allocations::value_type* oldest; (oldest = addresses_.oldest()) != nullptr; addresses_.forgetOldest()) {
      number(*oldest, 0);
      madvise(statesAt(oldest->first), AddressSpace::wholePages(oldest->second.bytes), MADV_DONTNEED);  // they read as 0 then
    }
  }

  size_t liveBytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return addresses_.liveBytes();
  }

  std::string place(uintptr_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return addresses_.place(address);
  }

 private:
  static void number(const AddressSpace::Allocations::value_type& allocation, uint32_t number) {
    const uintptr_t end = allocation.first + allocation.second.bytes;
    for (uintptr_t page = allocation.first; page < end; page += AddressSpace::kPageBytes) allocationAt(page) = number;
  }

  std::mutex mutex_;
  AddressSpace addresses_{arenaBase, kArenaBytes};
};

// Never destroyed: streams may outlive everything else.
Arena& arena() {
  static Arena& only = *[] {
    arenaBase = reserve();
    watchHostAccess();
    return new Arena;
  }();
  return only;
}

// The first byte of a range that is not as it should be.
uintptr_t firstNot(unsigned char state, uintptr_t address, size_t bytes) {
  const unsigned char* states = statesAt(address);
  for (size_t i = 0; i < bytes; ++i) {
    if ((states[i] & state) == 0) return address + i;
  }
  return address + bytes;
}

const char* kindOf(uintptr_t address, size_t bytes, bool write) {
  const char* const outside = write ? kind::kOutOfBoundsWrite : kind::kOutOfBoundsRead;
  if (!inArena(address) || !inArena(address + bytes)) return outside;
  if ((bytes & (bytes - 1)) == 0 && bytes <= 16 && address % bytes != 0) return kind::kMisalignedAccess;
  const uintptr_t wrong = firstNot(kLive, address, bytes);
  if (wrong == address + bytes) return kind::kUninitialisedRead;
  return (*statesAt(wrong) & kFreed) != 0 ? kind::kUseAfterFree : outside;
}

}  // namespace

void openArena() { arena(); }

Fault diagnose(uintptr_t address, size_t bytes, bool write, const std::string& who) {
  std::ostringstream text;
  text << ": " << who << (write ? " writes " : " reads ") << bytes << " bytes at 0x" << std::hex << address << std::dec << ", ";
  if (inArena(address)) {
    text << arena().place(address);
  } else {
    text << "which is no device memory";
  }
  return Fault(kindOf(address, bytes, write), text.str());
}

void* allocateDevice(size_t bytes) { return bytes == 0 ? nullptr : arena().allocate(bytes); }

void freeDevice(void* memory) {
  if (memory != nullptr) arena().free(addressOf(memory));
}

bool isDevicePointer(const void* memory) {
  openArena();
  return inArena(addressOf(memory));
}

char* backing(const void* memory, size_t bytes) {
  openArena();
  const uintptr_t address = addressOf(memory);
  const bool inside = inArena(address) && bytes <= kArenaBytes && inArena(address + bytes);
  if (!inside || firstNot(kLive, address, bytes) != address + bytes) throw diagnose(address, bytes, false, "the host");
  return reinterpret_cast<char*>(bytesAt(address));
}

void markInitialised(const void* memory, size_t bytes) { std::memset(statesAt(addressOf(memory)), kLive | kInitialised, bytes); }

bool isInitialised(const void* memory, size_t bytes) {
  return firstNot(kInitialised, addressOf(memory), bytes) == addressOf(memory) + bytes;
}

void carryInitialised(void* destination, const void* source, size_t bytes) {
  std::memmove(statesAt(addressOf(destination)), statesAt(addressOf(source)), bytes);
}

uint64_t allocationOf(const void* memory) { return isDevicePointer(memory) ? allocationAt(addressOf(memory)) : 0; }

size_t liveBytes() { return arena().liveBytes(); }

}  // namespace cuda_batchnorm::emulator
