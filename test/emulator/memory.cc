#include "memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <sstream>

#include "arena.h"

namespace cuda_batchnorm::emulator {

uintptr_t arenaBase = 0;

namespace {

constexpr uintptr_t kReservedBytes = 3 * kArenaBytes + kArenaBytes / kPageBytes * sizeof(uint32_t);
constexpr size_t kQuarantineBytes = size_t{128} << 20;
constexpr size_t kQuarantineCount = 4096;
// A fence costs addresses only: wide ones also catch an index that is wrong by a whole row.
constexpr size_t kLeastFence = kPageBytes;
constexpr size_t kGreatestFence = size_t{1} << 20;

struct Allocation {
  size_t bytes = 0;
  size_t fence = 0;  // on each side
  uint32_t number = 0;
  bool live = true;
};

uintptr_t addressOf(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

size_t wholePages(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

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

// ---- allocations, by address ----

class Arena {
 public:
  void* allocate(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t fence = std::clamp(wholePages(bytes / 8), kLeastFence, kGreatestFence);
    const uintptr_t address = findGap(bytes, fence);
    allocations_[address] = {bytes, fence, ++lastNumber_, true};
    for (uintptr_t page = address; page < address + bytes; page += kPageBytes) allocationAt(page) = lastNumber_;
    std::memset(bytesAt(address), 0xff, bytes);
    std::memset(statesAt(address), kLive, bytes);
    liveBytes_ += bytes;
    return reinterpret_cast<void*>(address);
  }

  void free(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uintptr_t address = addressOf(memory);
    const auto found = allocations_.find(address);
    if (found == allocations_.end() || !found->second.live) throw badFree(address, found != allocations_.end());
    Allocation& allocation = found->second;
    allocation.live = false;
    liveBytes_ -= allocation.bytes;
    std::memset(statesAt(address), kFreed, allocation.bytes);
    madvise(bytesAt(address), wholePages(allocation.bytes), MADV_DONTNEED);
    quarantine_.push_back(address);
    quarantinedBytes_ += allocation.bytes;
    while (quarantinedBytes_ > kQuarantineBytes || quarantine_.size() > kQuarantineCount) forgetOldest();
  }

  size_t liveBytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return liveBytes_;
  }

  // In words, the place of an address relative to the allocation nearest to it.
  std::string place(uintptr_t address) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto after = allocations_.upper_bound(address);
    const bool hasBefore = after != allocations_.begin();
    const bool hasAfter = after != allocations_.end();
    const auto before = hasBefore ? std::prev(after) : after;
    std::ostringstream text;
    if (hasBefore && address < before->first + before->second.bytes) {
      text << address - before->first << " bytes into " << describe(*before);
    } else if (hasBefore && (!hasAfter || address - (before->first + before->second.bytes) < after->first - address)) {
      text << address - (before->first + before->second.bytes) << " bytes past the end of " << describe(*before);
    } else if (hasAfter) {
      text << after->first - address << " bytes before " << describe(*after);
    } else {
      text << "nothing is allocated";
    }
    return text.str();
  }

 private:
  using Allocations = std::map<uintptr_t, Allocation>;

  // Goes round the arena, so that an address is used again as late as can be.
  uintptr_t findGap(size_t bytes, size_t fence) {
    if (bytes > kArenaBytes / 2) throw std::bad_alloc();
    const size_t needed = wholePages(bytes) + 2 * fence;
    for (int round = 0; round < 2; ++round) {
      const uintptr_t start = firstFit(round == 0 ? next_ : arenaBase, needed);
      if (start + needed <= arenaBase + kArenaBytes) {
        next_ = start + needed;
        return start + fence;
      }
    }
    throw std::bad_alloc();
  }

  uintptr_t firstFit(uintptr_t from, size_t needed) const {
    auto following = allocations_.lower_bound(from);
    while (following != allocations_.end() && following->first - following->second.fence < from + needed) {
      from = following->first + wholePages(following->second.bytes) + following->second.fence;
      ++following;
    }
    return from;
  }

  void forgetOldest() {
    const uintptr_t address = quarantine_.front();
    quarantine_.pop_front();
    const size_t bytes = allocations_.at(address).bytes;
    quarantinedBytes_ -= bytes;
    madvise(statesAt(address), wholePages(bytes), MADV_DONTNEED);  // they read as 0 then
    for (uintptr_t page = address; page < address + bytes; page += kPageBytes) allocationAt(page) = 0;
    allocations_.erase(address);
  }

  static std::string describe(const Allocations::value_type& allocation) {
    std::ostringstream text;
    text << (allocation.second.live ? "the " : "the freed ") << allocation.second.bytes << " bytes at 0x" << std::hex << allocation.first;
    return text.str();
  }

  static Fault badFree(uintptr_t address, bool again) {
    std::ostringstream text;
    text << ": 0x" << std::hex << address << (again ? " was freed before" : "");
    return Fault(kind::kBadFree, text.str());
  }

  std::mutex mutex_;
  Allocations allocations_;  // live ones and those in quarantine
  std::deque<uintptr_t> quarantine_;
  size_t quarantinedBytes_ = 0;
  size_t liveBytes_ = 0;
  uintptr_t next_ = arenaBase;
  uint32_t lastNumber_ = 0;
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
  if (memory != nullptr) arena().free(memory);
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
