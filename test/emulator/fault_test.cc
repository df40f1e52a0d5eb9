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
KERNEL endWhileRead(Arguments a) {
  dynamicShared<float>(0).store(threadIndex(), 1.0f);
  syncCluster();
  if (clusterRank() == 0) {
    for (uint32_t i = 0; i < 100; ++i) syncBlock();
    dynamicSharedOf<float>(1, 0).load(threadIndex());
  }
  if (!a.faulty) syncCluster();
}

// A block may end as soon as the others have left.
KERNEL askAfterLeaving(Arguments a) {
  dynamicShared<float>(0).store(threadIndex(), 1.0f);
  syncCluster();
  if (a.faulty) leaveCluster();
  storeGlobal(a.output + threadIndex(), dynamicSharedOf<float>(clusterRank() ^ 1, 0).load(threadIndex()));
  if (!a.faulty) leaveCluster();
  awaitLeavers();
}

KERNEL awaitBeforeLeaving(Arguments a) {
  if (!a.faulty) leaveCluster();
  awaitLeavers();
}

KERNEL meetAfterLeaving(Arguments a) {
  leaveCluster();
  if (a.faulty) syncCluster();
  awaitLeavers();
}

KERNEL askNoBlock(Arguments a) {
  dynamicShared<float>(0).store(threadIndex(), 1.0f);
  syncCluster();
  dynamicSharedOf<float>(a.faulty ? 2 : 1, 0).load(threadIndex());
  syncCluster();
}

// ---- copies that go on by themselves ----

struct Quad {
  float values[4];
};

// Each of these kernels has one group of copies under way, of which each thread brings 16 bytes.
static DEVICE SharedArray<Quad> beginCopies(const Arguments& a) {
  const auto quads = dynamicShared<Quad>(0);
  copyAsync(quads, threadIndex(), reinterpret_cast<const Quad*>(a.input) + threadIndex() / 2);
  closeCopies();
  return quads;
}

KERNEL readUnderWay(Arguments a) {
  const SharedArray<Quad> quads = beginCopies(a);
  if (!a.faulty) waitForCopies<0>();
  storeGlobal(a.output + threadIndex(), quads.load(threadIndex()).values[0]);
  waitForCopies<0>();
}

// A barrier is none for copies that were not waited for.
KERNEL readUnderWayOfOthers(Arguments a) {
  const SharedArray<Quad> quads = beginCopies(a);
  if (!a.faulty) waitForCopies<0>();
  syncBlock();
  storeGlobal(a.output + threadIndex(), quads.load(threadIndex() ^ 1).values[0]);
  waitForCopies<0>();
}

KERNEL writeUnderWay(Arguments a) {
  const SharedArray<Quad> quads = beginCopies(a);
  if (!a.faulty) waitForCopies<0>();
  quads.store(threadIndex(), Quad{});
  waitForCopies<0>();
}

KERNEL copyUnderWay(Arguments a) {
  beginCopies(a);
  if (!a.faulty) waitForCopies<0>();
  beginCopies(a);
  waitForCopies<0>();
}

// To wait for all groups but the last one is not to wait for it.
KERNEL waitForOthers(Arguments a) {
  const SharedArray<Quad> quads = beginCopies(a);
  if (a.faulty) {
    waitForCopies<1>();
  } else {
    waitForCopies<0>();
  }
  storeGlobal(a.output + threadIndex(), quads.load(threadIndex()).values[0]);
  waitForCopies<0>();
}

KERNEL leaveGroupOpen(Arguments a) {
  const auto quads = dynamicShared<Quad>(0);
  copyAsync(quads, threadIndex(), reinterpret_cast<const Quad*>(a.input));
  if (!a.faulty) closeCopies();
  waitForCopies<0>();
  storeGlobal(a.output + threadIndex(), quads.load(threadIndex()).values[0]);
}

// All have waited when the lanes go on, but a shuffle is no barrier.
KERNEL copyWithoutBarrier(Arguments a) {
  const SharedArray<Quad> quads = beginCopies(a);
  waitForCopies<0>();
  shuffleXor(1.0f, 1);
  if (!a.faulty) syncWarp();
  if (threadIndex() == 0) quads.load(31);
}

KERNEL copyWhatIsRead(Arguments a) {
  const auto quads = dynamicShared<Quad>(0);
  quads.store(threadIndex(), Quad{});
  syncBlock();
  quads.load(threadIndex() ^ 1);
  shuffleXor(1.0f, 1);
  if (!a.faulty) syncWarp();
  beginCopies(a);
  waitForCopies<0>();
}

KERNEL endUnderWay(Arguments a) {
  beginCopies(a);
  if (!a.faulty || threadIndex() != 5) waitForCopies<0>();
}

KERNEL copyMisaligned(Arguments a) {
  if (threadIndex() > 0) return;
  copyAsync(dynamicShared<Quad>(a.faulty ? 4 : 0), 0, reinterpret_cast<const Quad*>(a.input));
  closeCopies();
  waitForCopies<0>();
}

KERNEL copyFromBeyond(Arguments a) {
  copyAsync(dynamicShared<Quad>(0), threadIndex(), reinterpret_cast<const Quad*>(a.input) + (a.faulty ? a.count : 0));
  closeCopies();
  waitForCopies<0>();
}

KERNEL copyToBeyond(Arguments a) {
  copyAsync(dynamicShared<Quad>(0), threadIndex() + a.faulty, reinterpret_cast<const Quad*>(a.input));
  closeCopies();
  waitForCopies<0>();
}

KERNEL copyToOther(Arguments a) {
  copyAsync(dynamicSharedOf<Quad>(a.faulty ? clusterRank() ^ 1 : clusterRank(), 0), threadIndex(), reinterpret_cast<const Quad*>(a.input));
  closeCopies();
  waitForCopies<0>();
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

// The counter is the first output; a block's first thread arrives and waits.
static DEVICE void meet(const Arguments& a, bool arrives, uint32_t arrivals) {
  auto* const counter = reinterpret_cast<uint32_t*>(a.output);
  if (blockIndex() == 0 && threadIndex() == 0) storeGlobal(counter, 0u);
  syncGrid();
  if (threadIndex() == 0) {
    if (arrives) arriveAt(counter);
    awaitArrivals(counter, arrivals);
  }
  syncBlock();
}

KERNEL arriveTooFew(Arguments a) { meet(a, !a.faulty || blockIndex() != 2, gridBlocks()); }

KERNEL awaitTooMany(Arguments a) { meet(a, true, gridBlocks() + a.faulty); }

// The others wait for arrivals because of this warp, so it is what is reported.
KERNEL awaitStuckWarp(Arguments a) {
  if (a.faulty && blockIndex() == 1) {
    if (laneIndex() == 0) {
      syncGrid();
    } else {
      syncWarp();
    }
  }
  meet(a, true, gridBlocks());
}

KERNEL awaitAlone(Arguments a) {
  auto* const counter = reinterpret_cast<uint32_t*>(a.output);
  storeGlobal(counter, 1u);
  awaitArrivals(counter, a.faulty ? 2 : 1);
}

KERNEL awaitUninitialised(Arguments a) { awaitArrivals(reinterpret_cast<const uint32_t*>(a.faulty ? a.output : a.input), 0); }

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
  reports(endWhileRead, {2, 64, 2, 256}, kind::kSharedEnded, {"of block 1"});
  reports(askAfterLeaving, {2, 64, 2, 256}, kind::kClusterLeft, {"reads shared memory of block "});
  reports(awaitBeforeLeaving, {4, 32, 2}, kind::kClusterLeft, {"has not left"});
  reports(meetAfterLeaving, {4, 32, 2}, kind::kClusterLeft, {"a barrier of its cluster"});
  reports(askNoBlock, {2, 64, 2, 256}, kind::kSharedOutOfBounds, {"block 2 of a cluster of 2"});
  forgetsSharedMemory();

  reports(readUnderWay, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"reads 16 bytes at ", "has begun a copy"});
  reports(readUnderWayOfOthers, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"reads 16 bytes at "});
  reports(writeUnderWay, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"writes 16 bytes at "});
  reports(copyUnderWay, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"writes 16 bytes at "});
  reports(waitForOthers, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"reads 16 bytes at "});
  reports(leaveGroupOpen, {1, 64, 1, 1024}, kind::kCopyUnderWay, {"reads 16 bytes at "});
  reports(copyWithoutBarrier, {1, 32, 1, 512}, kind::kSharedRace, {"thread 0 of block 0 reads", "thread 31 of block 0 wrote"});
  reports(copyWhatIsRead, {1, 64, 1, 1024}, kind::kSharedRace, {"writes 16 bytes at ", " read with no barrier"});
  reports(endUnderWay, {1, 64, 1, 1024}, kind::kCopyUnawaited, {"thread 5 of block 0 ends", " 1 may be under way"});
  reports(copyMisaligned, {1, 64, 1, 1024}, kind::kMisalignedAccess, {"copies 16 bytes to shared memory at 4"});
  reports(copyFromBeyond, {1, 64, 1, 1024}, kind::kOutOfBoundsRead, {"reads 16 bytes"});
  reports(copyToBeyond, {1, 64, 1, 1024}, kind::kSharedOutOfBounds, {"writes 16 bytes at 1024 of 1024 bytes"});
  reports(copyToOther, {2, 64, 2, 1024}, kind::kSharedOutOfBounds, {"another block than its own"});

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
  reports(arriveTooFew, {4, 32, 1, 0, true}, kind::kArrivalDeadlock, {"thread 0 of block ", "has reached 4, but it is 3 and"});
  reports(awaitTooMany, {4, 64, 2, 0, true}, kind::kArrivalDeadlock, {"has reached 5, but it is 4 and"});
  reports(awaitStuckWarp, {4, 64, 1, 0, true}, kind::kDivergentShuffle, {"block 1 is at a warp's barrier"});
  reports(awaitAlone, {1, 1}, kind::kNotCooperative, {"waits for arrivals"});
  reports(awaitUninitialised, {1, 1}, kind::kUninitialisedRead);
  endsWaitingThreads();
}
