// Kernels with one fault each, and the words in which the emulator reports it. Beside most of them is the kernel as it should be, which
// nothing is reported of.
#include "fault.h"

#include <cstdio>
#include <stdexcept>

#include "testing.h"

namespace cuda_batchnorm::emulator {

using namespace cuda;

struct Arguments {
  const float* input;
  float* output;
  uint32_t count;
  bool faulty;
};

// ---- global memory ----

KERNEL copyBeyond(Arguments a) {
  const uint32_t i = blockIndex() * blockThreads() + threadIndex();
  storeGlobal(a.output + i + a.faulty, loadGlobal(a.input + i));
}

KERNEL readBefore(Arguments a) { storeGlobal(a.output + threadIndex(), loadGlobal(a.input + threadIndex() - a.faulty)); }

KERNEL leaveTail(Arguments a) {
  const uint32_t i = threadIndex();
  if (i < a.count - a.faulty) storeGlobal(a.output + i, loadGlobal(a.input + i));
}

struct Pair {
  float values[2];
};

KERNEL loadPairs(Arguments a) {
  const auto* const pairs = reinterpret_cast<const Pair*>(a.input + a.faulty);
  storeGlobal(a.output + threadIndex(), loadGlobal(pairs + threadIndex() / 2).values[0]);
}

KERNEL storePairs(Arguments a) {
  if (threadIndex() > 0) return;
  storeGlobal(reinterpret_cast<Pair*>(a.output + a.faulty), Pair{});
}

KERNEL loadNull(Arguments a) { storeGlobal(a.output, loadGlobal(a.faulty ? static_cast<const float*>(nullptr) : a.input)); }

KERNEL countUninitialised(Arguments a) { arriveAt(reinterpret_cast<uint32_t*>(a.output)); }

// ---- shared memory ----

KERNEL exchange(Arguments a) {
  const auto values = dynamicShared<float>(0);
  values.store(threadIndex(), loadGlobal(a.input + threadIndex()));
  if (!a.faulty) syncBlock();
  storeGlobal(a.output + threadIndex(), values.load(blockThreads() - 1 - threadIndex()));
}

// Within a warp a barrier of the warp is enough; a shuffle is none.
KERNEL exchangeInWarp(Arguments a) {
  const auto values = dynamicShared<float>(0);
  values.store(threadIndex(), loadGlobal(a.input + threadIndex()));
  if (a.faulty) {
    shuffleXor(1.0f, 1);
  } else {
    syncWarp();
  }
  storeGlobal(a.output + threadIndex(), values.load(threadIndex() ^ 1));
}

// A barrier of the warp is none between warps.
KERNEL exchangeBetweenWarps(Arguments a) {
  const auto values = dynamicShared<float>(0);
  values.store(threadIndex(), loadGlobal(a.input + threadIndex()));
  if (a.faulty) {
    syncWarp();
  } else {
    syncBlock();
  }
  storeGlobal(a.output + threadIndex(), values.load(threadIndex() ^ 32));
}

// The value of one round is overwritten while some still read it.
KERNEL reuse(Arguments a) {
  const auto value = dynamicShared<float>(0);
  float sum = 0;
  for (uint32_t round = 0; round < 3; ++round) {
    if (threadIndex() == 0) value.store(0, loadGlobal(a.input + round));
    syncBlock();
    sum += value.load(0);
    if (!a.faulty) syncBlock();
  }
  storeGlobal(a.output + threadIndex(), sum);
}

// The lanes do come in this order, but a shuffle does not make a device read memory before it writes.
KERNEL overwriteInWarp(Arguments a) {
  const auto value = dynamicShared<float>(0);
  if (threadIndex() == 0) value.store(0, loadGlobal(a.input));
  syncWarp();
  const float read = value.load(0);
  shuffleXor(read, 1);
  if (!a.faulty) syncWarp();
  if (threadIndex() == 0) value.store(0, read + 1.0f);
}

// Neighbours in one word, each with its own half: no race.
KERNEL halves(Arguments a) {
  const auto values = dynamicShared<uint16_t>(0);
  values.store(threadIndex(), static_cast<uint16_t>(threadIndex()));
  const uint32_t i = a.faulty ? threadIndex() ^ 1 : threadIndex();
  storeGlobal(a.output + threadIndex(), static_cast<float>(values.load(i)));
}

KERNEL shareBeyond(Arguments a) {
  const auto values = dynamicShared<float>(4);
  values.store(threadIndex() + a.faulty, 1.0f);
}

KERNEL shareUnwritten(Arguments a) {
  const auto values = dynamicShared<float>(0);
  if (!a.faulty || threadIndex() != 7) values.store(threadIndex(), 1.0f);
  syncBlock();
  storeGlobal(a.output + threadIndex(), values.load(threadIndex()));
}

KERNEL shareMisaligned(Arguments a) { dynamicShared<float>(a.faulty ? 2 : 0); }

KERNEL exchangeInCluster(Arguments a) {
  const auto own = dynamicShared<float>(0);
  own.store(threadIndex(), 1.0f);
  syncCluster();
  const float other = dynamicSharedOf<float>(clusterRank() ^ 1, 0).load(threadIndex());
  if (!a.faulty) syncCluster();
  own.store(threadIndex(), other);
  syncCluster();
}

// A block may have ended while another still reads its memory.
KERNEL leaveCluster(Arguments a) {
  dynamicShared<float>(0).store(threadIndex(), 1.0f);
  syncCluster();
  if (clusterRank() == 0) {
    for (uint32_t i = 0; i < 100; ++i) syncBlock();
    dynamicSharedOf<float>(1, 0).load(threadIndex());
  }
  if (!a.faulty) syncCluster();
}

KERNEL askNoBlock(Arguments a) {
  dynamicShared<float>(0).store(threadIndex(), 1.0f);
  syncCluster();
  dynamicSharedOf<float>(a.faulty ? 2 : 1, 0).load(threadIndex());
  syncCluster();
}

// ---- barriers ----

KERNEL shuffleSome(Arguments a) {
  float value = 1;
  if (!a.faulty || laneIndex() < 16) value = shuffleXor(value, 1);
  storeGlobal(a.output + threadIndex(), value);
}

KERNEL shuffleApart(Arguments a) {
  if (!a.faulty || laneIndex() < 16) shuffleXor(1.0f, 1);
  syncBlock();
  if (a.faulty && laneIndex() >= 16) shuffleXor(1.0f, 1);
}

KERNEL shuffleOrVote(Arguments a) {
  if (!a.faulty || laneIndex() % 2 == 0) {
    shuffleXor(1.0f, 2);
  } else {
    warpBallot(true);
  }
}

KERNEL shuffleSizes(Arguments a) {
  if (!a.faulty || laneIndex() % 2 == 0) {
    shuffleXor(1.0f, 2);
  } else {
    shuffleXor(1.0, 2);
  }
}

KERNEL shuffleNobody(Arguments a) { shuffleXor(1.0f, a.faulty ? 16 : 1); }

KERNEL leaveBlock(Arguments a) {
  if (a.faulty && threadIndex() == 40) return;
  syncBlock();
}

KERNEL leaveBarrier(Arguments a) {
  if (a.faulty && threadIndex() < 32) {
    anyInBlock(true);
  } else {
    syncBlock();
  }
}

KERNEL leaveClusterBarrier(Arguments a) {
  if (!a.faulty || clusterRank() == 0) syncCluster();
}

KERNEL leaveGridBarrier(Arguments a) {
  if (!a.faulty || blockIndex() != 1) syncGrid();
}

KERNEL clusterOrGrid(Arguments a) {
  if (a.faulty && clusterRank() == 1) syncGrid();
  syncCluster();
  if (!a.faulty || clusterRank() == 0) syncGrid();
}

KERNEL gridAlone(Arguments a) {
  if (a.faulty) syncGrid();
}

static std::string run(void (*kernel)(Arguments), const GridShape& shape, bool faulty, uint64_t seed) {
  const uint32_t count = shape.grid * shape.block;
  const DeviceArray<float> input(std::vector<float>(2 * count, 1.0f));
  const DeviceArray<float> output(count);
  return faultOf([&] { start(kernel, shape, {input.get(), output.get(), count, faulty}, seed); });
}

// For every order: nothing is reported of the right kernel, and the faulty one is named, with all these words.
static void reports(void (*kernel)(Arguments), const GridShape& shape, const char* kind, const std::vector<std::string>& words = {}) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    CHECK(run(kernel, shape, false, seed).empty());
    const std::string fault = run(kernel, shape, true, seed);
    if (fault.find(kind) != 0) std::fprintf(stderr, "%s\n", fault.c_str());
    CHECK(fault.find(kind) == 0);
    CHECK(contains(fault, "kernel tested"));
    for (const std::string& word : words) CHECK(contains(fault, word));
  }
}

static void reportsUnwrittenTail() {
  for (const bool faulty : {false, true}) {
    const DeviceArray<float> input(std::vector<float>(64, 1.0f)), middle(64), output(64);
    start(leaveTail, {1, 64}, {input.get(), middle.get(), 64, faulty});
    const std::string fault = faultOf([&] { start(leaveTail, {1, 64}, {middle.get(), output.get(), 64, false}); });
    CHECK(fault.empty() == !faulty);
    if (!faulty) continue;
    CHECK(fault.find(kind::kUninitialisedRead) == 0);
    CHECK(contains(fault, "thread 63 of block 0"));
    CHECK(contains(fault, "252 bytes into the 256 bytes at"));
  }
}

// A wide access of which one half is right.
static void reportsHalfUninitialised() {
  const DeviceArray<float> pair(2), output(1);
  pair.write({1.0f});
  const auto fault = faultOf([&] { start(loadPairs, {1, 1}, {pair.get(), output.get(), 1, false}); });
  CHECK(fault.find(kind::kUninitialisedRead) == 0);
}

static void reportsUseAfterFree() {
  auto* const memory = static_cast<float*>(allocateDevice(256));
  const DeviceArray<float> values(std::vector<float>(64, 1.0f));
  freeDevice(memory);
  const auto read = faultOf([&] { start(leaveTail, {1, 64}, {memory, values.get(), 64, false}); });
  const auto write = faultOf([&] { start(leaveTail, {1, 64}, {values.get(), memory, 64, false}); });
  CHECK(read.find(kind::kUseAfterFree) == 0 && contains(read, "reads 4 bytes") && contains(read, "the freed 256 bytes"));
  CHECK(write.find(kind::kUseAfterFree) == 0 && contains(write, "writes 4 bytes"));
}

static void reportsUninitialisedCounter() {
  const DeviceArray<float> memory(1);
  const auto fault = faultOf([&] { start(countUninitialised, {1, 1}, {nullptr, memory.get(), 1, true}); });
  CHECK(fault.find(kind::kUninitialisedRead) == 0);
}

static void reportsHostMemory() {
  const float host = 1;
  const DeviceArray<float> output(1);
  const auto fault = faultOf([&] { start(loadNull, {1, 1}, {&host, output.get(), 1, false}); });
  CHECK(fault.find(kind::kOutOfBoundsRead) == 0 && contains(fault, "no device memory"));
}

// What one grid wrote to shared memory is not there for the next, nor for the next block.
static void forgetsSharedMemory() {
  const DeviceArray<float> input(std::vector<float>(32, 1.0f)), output(32);
  start(exchange, {1, 32, 1, 128}, {input.get(), output.get(), 32, false});
  CHECK(faultOf([&] { start(shareUnwritten, {1, 32, 1, 128}, {nullptr, output.get(), 32, true}); }).find(kind::kSharedUninitialised) == 0);
}

// Objects on the stacks of the threads that wait when another one fails.
static void endsWaitingThreads() {
  struct Held {
    explicit Held(int* count) : count_(count) { ++*count; }
    ~Held() { --*count_; }
    int* count_;
  };
  int held = 0;
  const auto body = [&held] {
    const Held object(&held);
    if (threadIndex() == 99) throw std::runtime_error("thrown");
    syncBlock();
  };
  std::string thrown;
  try {
    runGrid("throwing", {1, 128}, body, 5);
  } catch (const std::runtime_error& error) {
    thrown = error.what();
  }
  CHECK(thrown == "thrown");
  CHECK(held == 0);
}

}  // namespace cuda_batchnorm::emulator

int main() {
  using namespace cuda_batchnorm::emulator;
  reports(copyBeyond, {3, 64}, kind::kOutOfBoundsWrite, {"writes 4 bytes at 0x", ", 0 bytes past the end of the 768 bytes"});
  reports(readBefore, {1, 64}, kind::kOutOfBoundsRead, {"thread 0 of block 0", "4 bytes before the 512 bytes"});
  reports(loadPairs, {1, 64}, kind::kMisalignedAccess, {"reads 8 bytes", "bytes into the 512 bytes"});
  reports(storePairs, {1, 64}, kind::kMisalignedAccess, {"writes 8 bytes", "4 bytes into the 256 bytes"});
  reports(loadNull, {1, 64}, kind::kOutOfBoundsRead, {"at 0x0, which is no device memory"});
  reportsUnwrittenTail();
  reportsHalfUninitialised();
  reportsUseAfterFree();
  reportsUninitialisedCounter();
  reportsHostMemory();

  reports(exchange, {2, 64, 1, 256}, kind::kSharedRace, {"with no barrier between"});
  reports(exchangeInWarp, {2, 64, 1, 256}, kind::kSharedRace, {"4 bytes at "});
  reports(exchangeBetweenWarps, {2, 64, 1, 256}, kind::kSharedRace);
  reports(reuse, {1, 64, 1, 4}, kind::kSharedRace, {"thread 0 of block 0"});
  reports(overwriteInWarp, {1, 32, 1, 4}, kind::kSharedRace, {"thread 0 of block 0 writes", " read with no barrier"});
  reports(halves, {1, 64, 1, 128}, kind::kSharedRace, {"2 bytes at "});
  reports(shareBeyond, {1, 64, 1, 260}, kind::kSharedOutOfBounds, {"thread 63 of block 0", "4 bytes at 260 of 260 bytes"});
  reports(shareUnwritten, {1, 64, 1, 256}, kind::kSharedUninitialised, {"thread 7 of block 0"});
  reports(shareMisaligned, {1, 1, 1, 8}, kind::kMisalignedAccess);
  reports(exchangeInCluster, {4, 64, 2, 256}, kind::kSharedRace);
  reports(leaveCluster, {2, 64, 2, 256}, kind::kSharedEnded, {"of block 1"});
  reports(askNoBlock, {2, 64, 2, 256}, kind::kSharedOutOfBounds, {"block 2 of a cluster of 2"});
  forgetsSharedMemory();

  reports(shuffleSome, {1, 64}, kind::kDivergentShuffle, {"a shuffle"});
  reports(shuffleApart, {1, 32}, kind::kDivergentShuffle);
  reports(shuffleOrVote, {1, 32}, kind::kDivergentShuffle);
  reports(shuffleSizes, {1, 32}, kind::kDivergentShuffle, {"another size"});
  reports(shuffleNobody, {1, 48}, kind::kDivergentShuffle, {"which its warp does not have"});
  reports(leaveBlock, {1, 64}, kind::kDivergentBarrier, {"ended"});
  reports(leaveBlock, {8, 64, 1, 0, true}, kind::kDivergentBarrier);
  reports(leaveBarrier, {1, 64}, kind::kDivergentBarrier);
  reports(leaveClusterBarrier, {4, 32, 2}, kind::kClusterDeadlock);
  reports(leaveGridBarrier, {4, 32, 1, 0, true}, kind::kGridDeadlock);
  reports(clusterOrGrid, {4, 32, 2, 0, true}, kind::kClusterDeadlock, {"only 32 of 64 threads"});
  reports(gridAlone, {4, 32}, kind::kNotCooperative);
  endsWaitingThreads();
}
