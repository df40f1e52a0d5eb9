// The grid that runs on this host thread, as the primitives see it: its threads, what they wait for, and what they may touch.
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "copy_queue.h"
#include "counters.h"
#include "fiber.h"
#include "grid.h"
#include "random.h"
#include "schedule.h"
#include "shared_memory.h"

namespace cuda_batchnorm::emulator {

constexpr uint32_t kWarpLanes = 32;
constexpr size_t kExchangeBytes = 64;  // the largest value that a shuffle passes on

enum class Primitive : uint8_t { Shuffle, Ballot, SyncWarp, SyncBlock, AnyInBlock, SyncCluster, SyncGrid };

// Threads that wait for each other: whole warps, and numbers `first` and on, of those that run at once.
struct Barrier {
  uint32_t firstWarp = 0;
  uint32_t warps = 0;
  uint32_t first = 0;
  uint32_t threads = 0;
  uint32_t arrived = 0;
  uint32_t ended = 0;
  uint32_t firstArrived = 0;
  uint32_t detail = 0;  // must be the same for all
  uint32_t rounds = 0;
  uint32_t time = 0;  // when it was passed last
  Primitive primitive = Primitive::SyncWarp;
};

// What the lanes tell each other. Two rounds have their own places, because a lane may be in the next round before another has read this
// one's; it cannot be two rounds ahead.
struct Warp {
  Barrier barrier;
  uint32_t ballot[2];
  unsigned char exchange[2][kWarpLanes * kExchangeBytes];
};

struct Cluster {
  Barrier barrier;
  uint32_t beginning = 0;  // time
};

struct Block {
  uint32_t index = 0;  // in the grid
  uint32_t rank = 0;   // in the cluster
  Cluster* cluster = nullptr;
  Barrier barrier;
  bool any[2] = {};
  SharedMemory shared;
};

struct Thread {
  uint32_t index;  // in the block
  Block* block;
  Warp* warp;
  Fiber* fiber;  // while it waits
  bool left;     // its cluster
};

// A thread that waits until so many have arrived at a counter.
struct Awaiting {
  const uint32_t* counter;
  uint32_t arrivals;
  uint32_t thread;  // among those that run at once
};

// What one instruction of the device can move.
constexpr bool isAccess(size_t bytes) { return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16; }

class Execution {
 public:
  Execution();
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  void run(const char* kernel, const GridShape& shape, const std::function<void()>& body, uint64_t seed, Touched* touched);

  const Thread& thread() const { return *current_; }
  const GridShape& shape() const { return shape_; }

  // The bytes of an access to global memory that has been found to be right.
  template <size_t bytes, bool counted = true>
  __attribute__((always_inline)) const unsigned char* load(const void* source) {
    static_assert(isAccess(bytes));
    const auto address = reinterpret_cast<uintptr_t>(source);
    if (!inArena(address) || address % bytes != 0 || !allAre<bytes>(address, kInitialised)) failAccess(address, bytes, false);
    touch(address, false);
    if (counted && counting_) count(address, bytes, false);
    return bytesAt(address);
  }
  template <size_t bytes>
  __attribute__((always_inline)) unsigned char* store(void* destination) {
    static_assert(isAccess(bytes));
    const auto address = reinterpret_cast<uintptr_t>(destination);
    if (!inArena(address) || address % bytes != 0 || !allAre<bytes>(address, kLive)) failAccess(address, bytes, true);
    if (!allAre<bytes>(address, kInitialised)) std::memset(statesAt(address), kLive | kInitialised, bytes);
    touch(address, true);
    if (counting_) count(address, bytes, true);
    return bytesAt(address);
  }
  uint32_t arriveAt(uint32_t* counter);
  void awaitArrivals(const uint32_t* counter, uint32_t arrivals);

  // The same for shared memory; `rank` is the owner's within this cluster.
  uint32_t rank() const { return current_->block->rank; }
  const unsigned char* loadShared(uint32_t rank, uint64_t offset, uint32_t bytes);
  unsigned char* storeShared(uint32_t rank, uint64_t offset, uint32_t bytes);
  void checkShared(uint32_t rank, uint64_t offset, size_t alignment);

  // `source` is what load() returned.
  void beginCopy(uint32_t rank, uint64_t offset, const unsigned char* source);
  void closeCopies() { copies().closeGroup(); }
  void waitForCopies(uint32_t pending);

  void syncWarp();
  uint32_t ballot(bool condition);
  void shuffle(void* value, uint32_t bytes, uint32_t laneMask);
  void syncBlock();
  bool anyInBlock(bool condition);
  void syncCluster();
  void leaveCluster();
  void awaitLeavers();
  void syncGrid();

 private:
  struct Cancelled {};  // thrown through the threads that still wait when one has failed

  // scheduling
  static void runThreads();
  void runThread();
  void runBlocks(uint32_t firstCluster, uint32_t clusters);
  void prepare(uint32_t firstCluster, uint32_t clusters);
  void prepareBlock(uint32_t number, uint32_t index, Cluster& cluster);
  Barrier barrierOf(uint32_t firstBlock, uint32_t blocks) const;
  void cancelWaiting();
  Thread* takeReady();
  void goOnWith(Thread* next);
  void park();
  void wake(const Thread& thread);
  uint32_t numberOf(const Thread& thread) const { return static_cast<uint32_t>(&thread - threads_.data()); }

  // barriers
  void wait(Barrier& barrier, Primitive primitive, uint32_t detail = 0);
  void release(Barrier& barrier);
  void leave();
  [[noreturn]] void failStuck();
  [[noreturn]] void failAwaiting(const Awaiting& awaiting);

  // faults
  [[noreturn]] __attribute__((noinline, cold)) void failAccess(uintptr_t address, size_t bytes, bool write);
  [[noreturn]] void fail(const char* kind, const std::string& details);
  [[noreturn]] void failDivergent(const Barrier& barrier, const std::string& why);
  std::string who() const;
  std::string name(const Thread& thread) const;

  // memory
  Block& blockOf(uint32_t rank);
  Accessor accessor() const;
  void checkSharedRange(Block& owner, uint64_t offset, uint32_t bytes, bool write);
  void conflictInShared(const SharedConflict& conflict, const Block& owner, uint32_t offset, uint32_t bytes, bool write);
  uint32_t valueOf(const uint32_t* counter);
  CopyQueue& copies();
  // Where it returns to tells one place in the kernel's code from another, because load and store are always inlined.
  __attribute__((noinline)) void count(uintptr_t address, size_t bytes, bool write);
  void touchFirst(uint32_t allocation, bool write);

  // Most accesses go to the few allocations that the last ones went to.
  void touch(uintptr_t address, bool write) {
    const uint32_t allocation = allocationAt(address);
    if (seen_[write][allocation % kSeen] != allocation) touchFirst(allocation, write);
  }

  static constexpr uint32_t kSeen = 64;

  std::string kernel_;
  GridShape shape_;
  const std::function<void()>* body_ = nullptr;
  Random random_;
  Touched* touched_ = nullptr;
  uint32_t seen_[2][kSeen] = {};
  bool counting_ = false;
  KernelCounters counters_;
  AccessLog log_;

  uint32_t warpsOfBlock_ = 0;
  std::vector<uint32_t> order_;  // of the clusters
  std::vector<Thread> threads_;  // those that run at once, and so on
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Cluster> clusters_;
  Barrier grid_;
  std::vector<Awaiting> awaiting_;
  std::vector<CopyQueue> copies_;  // by thread; empty until one of them copies
  uint32_t time_ = 0;

  Fiber host_;
  FiberPool fibers_;
  Fiber* running_ = nullptr;
  Thread* current_ = nullptr;
  Schedule schedule_;  // threads that can begin or go on
  uint32_t alive_ = 0;
  std::exception_ptr failure_;
  std::unique_ptr<Fault> suspicion_;  // that is a fault unless a worse one comes
};

// What runs on this host thread.
extern __thread Execution* execution __attribute__((tls_model("initial-exec")));

}  // namespace cuda_batchnorm::emulator
