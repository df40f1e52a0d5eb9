#include "memory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <set>
#include <thread>

#include "address_space.h"
#include "testing.h"

namespace cuda_batchnorm::emulator {
namespace {

// Whatever `body` prints to stderr in a process of its own, which has to end by a signal or an error.
template <class Body>
std::string lastWordsOf(const Body& body) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char part[256];
  for (ssize_t bytes; (bytes = read(ends[0], part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(bytes));
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
  return text;
}

void countsWhatIsLive() {
  CHECK(liveBytes() == 0);
  CHECK(allocateDevice(0) == nullptr);
  freeDevice(nullptr);
  void* first = allocateDevice(100);
  void* second = allocateDevice(1 << 20);
  CHECK(liveBytes() == 100 + (1 << 20));
  CHECK(allocationOf(first) != 0);
  CHECK(allocationOf(first) != allocationOf(second));
  CHECK(allocationOf(static_cast<char*>(second) + (1 << 20) - 1) == allocationOf(second));
  freeDevice(first);
  freeDevice(second);
  CHECK(liveBytes() == 0);
}

void isAlignedAndPoisoned() {
  for (const size_t bytes : {1u, 255u, 256u, 4096u, 100000u}) {
    void* memory = allocateDevice(bytes);
    CHECK(reinterpret_cast<uintptr_t>(memory) % 256 == 0);
    const char* poisoned = backing(memory, bytes);
    CHECK(std::all_of(poisoned, poisoned + bytes, [](char byte) { return byte == '\xff'; }));
    freeDevice(memory);
  }
}

void tellsDeviceAddressesFromOthers() {
  int host = 0;
  void* memory = allocateDevice(16);
  CHECK(isDevicePointer(memory));
  CHECK(!isDevicePointer(&host));
  CHECK(!isDevicePointer(nullptr));
  CHECK(!isDevicePointer(backing(memory, 16)));
  CHECK(allocationOf(&host) == 0);
  CHECK(contains(faultOf([&] { backing(&host, 1); }), "no device memory"));
  freeDevice(memory);
}

void checksTheHostsRanges() {
  char* memory = static_cast<char*>(allocateDevice(1000));
  char* other = static_cast<char*>(allocateDevice(1000));
  CHECK(faultOf([&] { backing(memory, 1000); }).empty());
  CHECK(faultOf([&] { backing(memory + 1000, 0); }).empty());
  CHECK(contains(faultOf([&] { backing(memory, 1001); }), kind::kOutOfBoundsRead));
  CHECK(contains(faultOf([&] { backing(memory - 1, 1); }), "1 bytes before the 1000 bytes"));
  CHECK(contains(faultOf([&] { backing(memory, static_cast<size_t>(other + 1000 - memory)); }), kind::kOutOfBoundsRead));
  CHECK(contains(faultOf([&] { backing(memory, SIZE_MAX / 2); }), kind::kOutOfBoundsRead));
  freeDevice(memory);
  CHECK(contains(faultOf([&] { backing(memory, 1); }), kind::kUseAfterFree));
  freeDevice(other);
}

void checksWhatIsFreed() {
  char* memory = static_cast<char*>(allocateDevice(1000));
  CHECK(contains(faultOf([&] { freeDevice(memory + 256); }), kind::kBadFree));
  freeDevice(memory);
  CHECK(contains(faultOf([&] { freeDevice(memory); }), "was freed before"));
}

void knowsWhatIsInitialised() {
  char* source = static_cast<char*>(allocateDevice(100));
  char* destination = static_cast<char*>(allocateDevice(100));
  CHECK(!isInitialised(source, 1));
  markInitialised(source + 10, 50);
  CHECK(isInitialised(source + 10, 50));
  CHECK(!isInitialised(source + 9, 2));
  CHECK(!isInitialised(source + 59, 2));
  carryInitialised(destination, source, 100);
  CHECK(isInitialised(destination + 10, 50));
  CHECK(!isInitialised(destination, 11));
  freeDevice(source);
  freeDevice(destination);
}

// Far more than the quarantine holds.
void givesAddressesBackLate() {
  void* first = allocateDevice(1 << 20);
  const uint64_t number = allocationOf(first);
  freeDevice(first);
  CHECK(allocationOf(first) == number);
  for (int i = 0; i < 300; ++i) {
    void* memory = allocateDevice(1 << 20);
    CHECK(memory != first);
    freeDevice(memory);
  }
  CHECK(allocationOf(first) == 0);
  CHECK(liveBytes() == 0);
}

// Round all addresses, over what stays allocated; what is given out never overlaps it.
void goesRound() {
  constexpr uintptr_t kFirst = 1 << 20;
  constexpr uintptr_t kBytes = uintptr_t{1} << 30;
  AddressSpace addresses(kFirst, kBytes);
  const uintptr_t kept = addresses.allocate(1 << 20).first;
  uintptr_t last = kept;
  int rounds = 0;
  for (int i = 0; i < 200; ++i) {
    const auto allocation = addresses.allocate(size_t{20} << 20);
    const uintptr_t end = allocation.first + allocation.second.bytes;
    CHECK(allocation.first > kFirst && end < kFirst + kBytes);
    CHECK(end < kept || allocation.first > kept + (1 << 20));
    if (allocation.first < last) ++rounds;
    last = allocation.first;
    addresses.free(allocation.first);
    while (addresses.oldest() != nullptr) addresses.forgetOldest();
  }
  CHECK(rounds >= 3);
  CHECK(addresses.liveBytes() == 1 << 20);
}

void runsOut() {
  AddressSpace addresses(1 << 20, 1 << 20);
  std::vector<uintptr_t> held;
  const auto fill = [&] {
    for (;;) held.push_back(addresses.allocate(50000).first);
  };
  bool failed = false;
  try {
    fill();
  } catch (const std::bad_alloc&) {
    failed = true;
  }
  CHECK(failed && held.size() > 10);
  CHECK(std::set<uintptr_t>(held.begin(), held.end()).size() == held.size());
}

void servesSeveralThreads() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([i] {
      for (size_t round = 0; round < 500; ++round) {
        const size_t bytes = 1 + round * 37 % 5000;
        void* memory = allocateDevice(bytes);
        std::memset(backing(memory, bytes), i, bytes);
        markInitialised(memory, bytes);
        std::this_thread::yield();
        CHECK(*backing(memory, bytes) == i && backing(memory, bytes)[bytes - 1] == i);
        freeDevice(memory);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(liveBytes() == 0);
}

void stopsTheHost() {
  void* memory = allocateDevice(64);
  CHECK(contains(lastWordsOf([&] { *static_cast<volatile char*>(memory) = 1; }), "emulator: host access to device memory at 0x"));
  CHECK(contains(lastWordsOf([&] { (void)*static_cast<volatile char*>(memory); }), "emulator: host access to device memory at 0x"));
  // Any other bad address is none of the emulator's business.
  volatile uintptr_t bad = 8;
  CHECK(!contains(lastWordsOf([&] { *reinterpret_cast<volatile char*>(bad) = 1; }), "emulator: host access"));
  freeDevice(memory);
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

int main() {
  using namespace cuda_batchnorm::emulator;
  countsWhatIsLive();
  isAlignedAndPoisoned();
  tellsDeviceAddressesFromOthers();
  checksTheHostsRanges();
  checksWhatIsFreed();
  knowsWhatIsInitialised();
  givesAddressesBackLate();
  goesRound();
  runsOut();
  servesSeveralThreads();
  stopsTheHost();
}
