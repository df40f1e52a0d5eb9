// Kernels without a fault: where their threads are, what they tell each other, and the same bits whatever the order.
#include "grid.h"

#include <dlfcn.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <thread>

#include "testing.h"

namespace cuda_batchnorm::emulator {

using namespace cuda;

struct Buffers {
  const float* input;
  float* output;
  uint32_t* counter;
  uint32_t count;
};

// ---- positions ----

struct Position {
  uint32_t thread, threads, block, blocks;
};
struct Seen {
  uint32_t lane, warp, rank, cluster;
};
struct Positions {
  Position* positions;
  Seen* seen;
};

KERNEL writePosition(Positions a) {
  const uint32_t i = blockIndex() * blockThreads() + threadIndex();
  storeGlobal(a.positions + i, Position{threadIndex(), blockThreads(), blockIndex(), gridBlocks()});
  storeGlobal(a.seen + i, Seen{laneIndex(), warpIndex(), clusterRank(), clusterBlocks()});
}

static void knowsItsPlace(const GridShape& shape) {
  const DeviceArray<Position> writtenPositions(shape.grid * shape.block);
  const DeviceArray<Seen> writtenSeen(shape.grid * shape.block);
  start(writePosition, shape, {writtenPositions.get(), writtenSeen.get()});
  const std::vector<Position> positions = writtenPositions.read();
  const std::vector<Seen> seen = writtenSeen.read();
  for (uint32_t i = 0; i < shape.grid * shape.block; ++i) {
    const Position position = positions[i];
    CHECK(position.thread == i % shape.block && position.threads == shape.block);
    CHECK(position.block == i / shape.block && position.blocks == shape.grid);
    const Seen lane = seen[i];
    CHECK(lane.lane == position.thread % 32 && lane.warp == position.thread / 32);
    CHECK(lane.rank == position.block % shape.cluster && lane.cluster == shape.cluster);
  }
}

// ---- the order ----

KERNEL writeOrder(Buffers a) {
  const uint32_t i = arriveAt(a.counter);
  storeGlobal(a.output + i, static_cast<float>(blockIndex() * blockThreads() + threadIndex()));
}

static std::vector<float> orderOf(const GridShape& shape, uint64_t seed) {
  const DeviceArray<float> order(shape.grid * shape.block);
  const DeviceArray<uint32_t> counter(std::vector<uint32_t>{0});
  start(writeOrder, shape, {nullptr, order.get(), counter.get(), 0}, seed);
  CHECK(counter.read()[0] == shape.grid * shape.block);
  return order.read();
}

static void dependsOnTheSeedAlone() {
  const GridShape shape = {8, 100};
  std::set<std::vector<float>> orders;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::vector<float> order = orderOf(shape, seed);
    CHECK(order == orderOf(shape, seed));
    orders.insert(order);
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < order.size(); ++i) CHECK(order[i] == static_cast<float>(i));
  }
  CHECK(orders.size() == kSeeds);
}

// ---- sums, in a fixed order ----

static DEVICE float sumOfWarp(float value) {
  UNROLL
  for (uint32_t mask = 16; mask > 0; mask /= 2) value += shuffleXor(value, mask);
  return value;
}

static DEVICE float sumOfBlock(float value, uint32_t sharedOffset) {
  const auto sums = dynamicShared<float>(sharedOffset);
  value = sumOfWarp(value);
  if (laneIndex() == 0) sums.store(warpIndex(), value);
  syncBlock();
  const float sum = sumOfWarp(threadIndex() < blockThreads() / kWarpThreads ? sums.load(threadIndex()) : 0.0f);
  if (threadIndex() == 0) sums.store(0, sum);
  syncBlock();
  return sums.load(0);
}

static DEVICE float sumOfStrip(const Buffers& a) {
  float sum = 0;
  for (uint32_t i = blockIndex() * blockThreads() + threadIndex(); i < a.count; i += gridBlocks() * blockThreads()) {
    sum += loadReadOnly(a.input + i);
  }
  return sum;
}

// Each block's sum; the block that comes last adds them up.
KERNEL sumByLastBlock(Buffers a) {
  const float sum = sumOfBlock(sumOfStrip(a), 0);
  bool last = false;
  if (threadIndex() == 0) {
    storeGlobal(a.output + 1 + blockIndex(), sum);
    last = arriveAt(a.counter) == gridBlocks() - 1;
  }
  if (!anyInBlock(last)) return;
  const float total = sumOfBlock(threadIndex() < gridBlocks() ? loadFresh(a.output + 1 + threadIndex()) : 0.0f, 0);
  if (threadIndex() == 0) {
    storeGlobal(a.output, total);
    storeGlobal(a.counter, 0u);
  }
}

// The same with all blocks at once.
KERNEL sumByGrid(Buffers a) {
  const float sum = sumOfBlock(sumOfStrip(a), 0);
  if (threadIndex() == 0) storeGlobal(a.output + 1 + blockIndex(), sum);
  syncGrid();
  if (blockIndex() != 0) return;
  const float total = sumOfBlock(threadIndex() < gridBlocks() ? loadFresh(a.output + 1 + threadIndex()) : 0.0f, 0);
  if (threadIndex() == 0) storeGlobal(a.output, total);
}

// Each cluster's sum, through the shared memory of its blocks; the host adds them up.
KERNEL sumByCluster(Buffers a) {
  const float sum = sumOfBlock(sumOfStrip(a), 16);
  if (threadIndex() == 0) dynamicShared<float>(0).store(0, sum);
  syncCluster();
  if (clusterRank() == 0 && threadIndex() == 0) {
    float total = 0;
    for (uint32_t rank = 0; rank < clusterBlocks(); ++rank) total += dynamicSharedOf<float>(rank, 0).load(0);
    storeGlobal(a.output + blockIndex() / clusterBlocks(), total);
  }
  syncCluster();
}

static std::vector<float> numbers(uint32_t count) {
  std::vector<float> values(count);
  for (uint32_t i = 0; i < count; ++i) values[i] = static_cast<float>(i * 2654435761u % 1000) * 0.001f - 0.3f;
  return values;
}

static std::vector<float> sumsOf(void (*kernel)(Buffers), const GridShape& shape, size_t outputs, uint64_t seed) {
  const std::vector<float> values = numbers(5001);
  const DeviceArray<float> input(values);
  const DeviceArray<float> output(outputs);
  const DeviceArray<uint32_t> counter(std::vector<uint32_t>{0});
  start(kernel, shape, {input.get(), output.get(), counter.get(), static_cast<uint32_t>(values.size())}, seed);
  CHECK(counter.read()[0] == 0);
  return output.read();
}

static void hasTheSameBits(void (*kernel)(Buffers), const GridShape& shape, size_t outputs, size_t summed) {
  const std::vector<float> first = sumsOf(kernel, shape, outputs, 0);
  const double sum = std::accumulate(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(summed), 0.0);
  const std::vector<float> values = numbers(5001);
  CHECK(std::abs(sum - std::accumulate(values.begin(), values.end(), 0.0)) < 0.01);
  for (uint64_t seed = 1; seed < kSeeds; ++seed) CHECK(sumsOf(kernel, shape, outputs, seed) == first);
}

// ---- what lanes tell each other ----

struct Wide {
  uint64_t a;
  float b[2];
};
struct Told {
  uint32_t* ballots;
  uint32_t* partners;
  uint32_t* any;
};

// Many rounds without a barrier of the block: fast lanes must not overwrite what slow ones still read.
KERNEL tell(Told a) {
  for (uint32_t round = 0; round < 50; ++round) {
    const uint32_t votes = warpBallot((laneIndex() + round) % 3 == 0);
    const uint32_t none = warpBallot(false);
    const Wide told = shuffleXor(Wide{threadIndex() + 1000ull * round, {1.0f, static_cast<float>(threadIndex())}}, round % 4);
    const bool any = anyInBlock(threadIndex() == round);
    const bool right = none == 0 && told.a == (threadIndex() ^ (round % 4)) + 1000ull * round &&
                       told.b[1] == static_cast<float>(threadIndex() ^ (round % 4));
    const uint32_t i = round * blockThreads() + threadIndex();
    storeGlobal(a.ballots + i, votes);
    storeGlobal(a.partners + i, right ? 1u : 0u);
    storeGlobal(a.any + i, any ? 1u : 0u);
  }
}

static void lanesTellEachOther(uint32_t threads) {
  const DeviceArray<uint32_t> ballots(50 * threads), partners(50 * threads), any(50 * threads);
  start(tell, {1, threads}, {ballots.get(), partners.get(), any.get()}, 3);
  const std::vector<uint32_t> votes = ballots.read(), right = partners.read(), found = any.read();
  for (uint32_t i = 0; i < 50 * threads; ++i) {
    const uint32_t round = i / threads;
    const uint32_t lanes = std::min(32u, threads - i % threads / 32 * 32);
    uint32_t expected = 0;
    for (uint32_t lane = 0; lane < lanes; ++lane) expected |= uint32_t{(lane + round) % 3 == 0} << lane;
    CHECK(votes[i] == expected);
    CHECK(right[i] == 1);
    CHECK(found[i] == uint32_t{round < threads});
  }
}

// ---- copies that go on by themselves ----

struct Quad {
  float values[4];
};
struct Copies {
  const Quad* input;
  Quad* output;
  uint32_t rounds;
};

// Two groups are under way while the one before them is used, by another thread than the one that brought it.
KERNEL copyInStages(Copies a) {
  constexpr uint32_t kStages = 3;
  const auto stages = dynamicShared<Quad>(0);
  const auto place = [](uint32_t round, uint32_t thread) { return round % kStages * blockThreads() + thread; };
  const auto begin = [&](uint32_t round) {
    if (round < a.rounds) copyAsync(stages, place(round, threadIndex()), a.input + round * blockThreads() + threadIndex());
    closeCopies();
  };
  for (uint32_t round = 0; round + 1 < kStages; ++round) begin(round);
  for (uint32_t round = 0; round < a.rounds; ++round) {
    begin(round + kStages - 1);
    waitForCopies<kStages - 1>();
    syncBlock();
    const uint32_t other = blockThreads() - 1 - threadIndex();
    storeGlobal(a.output + round * blockThreads() + threadIndex(), stages.load(place(round, other)));
    syncBlock();
  }
}

// The thread that waited sees it without a barrier; groups may be empty.
KERNEL copyOwn(Copies a) {
  const auto own = dynamicShared<Quad>(0);
  closeCopies();
  copyAsync(own, threadIndex(), a.input + threadIndex());
  closeCopies();
  waitForCopies<0>();
  storeGlobal(a.output + threadIndex(), own.load(threadIndex()));
}

static std::vector<Quad> quads(uint32_t count) {
  std::vector<Quad> values(count);
  for (uint32_t i = 0; i < count; ++i) values[i].values[3] = static_cast<float>(i);
  return values;
}

static void copiesArrive(uint64_t seed) {
  constexpr uint32_t kRounds = 5;
  constexpr uint32_t kThreads = 48;
  const DeviceArray<Quad> input(quads(kRounds * kThreads)), output(kRounds * kThreads), own(kThreads);
  start(copyInStages, {1, kThreads, 1, 3 * kThreads * sizeof(Quad)}, {input.get(), output.get(), kRounds}, seed);
  start(copyOwn, {1, kThreads, 1, kThreads * sizeof(Quad)}, {input.get(), own.get(), 1}, seed);
  const std::vector<Quad> staged = output.read(), ofThreads = own.read();
  for (uint32_t i = 0; i < kRounds * kThreads; ++i) {
    const uint32_t source = i / kThreads * kThreads + kThreads - 1 - i % kThreads;
    CHECK(staged[i].values[3] == static_cast<float>(source));
  }
  for (uint32_t i = 0; i < kThreads; ++i) CHECK(ofThreads[i].values[3] == static_cast<float>(i));
}

// The source changes while the copy is under way: a device may bring what was there before or after.
KERNEL overwriteSource(Copies a) {
  const auto own = dynamicShared<Quad>(0);
  copyAsync(own, 0, a.input);
  closeCopies();
  storeGlobal(const_cast<Quad*>(a.input), Quad{{0, 0, 0, 1}});
  waitForCopies<0>();
  storeGlobal(a.output, own.load(0));
}

static void copiesArriveEarlyOrLate() {
  std::set<float> seen;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const DeviceArray<Quad> input(quads(1)), output(1);
    start(overwriteSource, {1, 1, 1, sizeof(Quad)}, {input.get(), output.get(), 1}, seed);
    seen.insert(output.read()[0].values[3]);
  }
  CHECK(seen == (std::set<float>{0, 1}));
}

// ---- barriers through a counter ----

struct Team {
  uint32_t* counters;  // of each team
  float* slots;        // of each block
  float* sums;         // of each block and round
  uint32_t blocks;     // of a team
  uint32_t rounds;
  uint32_t first;  // what the counters began at
};

// In every round each block of a team adds up what all of them have written.
KERNEL sumByTeams(Team a) {
  const uint32_t team = blockIndex() / a.blocks;
  uint32_t arrivals = a.first;
  const auto meet = [&] {
    arrivals += a.blocks;
    syncBlock();
    if (threadIndex() == 0) {
      arriveAt(a.counters + team);
      awaitArrivals(a.counters + team, arrivals);
    }
    syncBlock();
  };
  for (uint32_t round = 0; round < a.rounds; ++round) {
    if (threadIndex() == 0) storeGlobal(a.slots + blockIndex(), static_cast<float>(blockIndex() + round));
    meet();
    const bool reads = threadIndex() < a.blocks;
    const float sum = sumOfWarp(reads ? loadFresh(a.slots + team * a.blocks + threadIndex()) : 0.0f);
    if (threadIndex() == 0) storeGlobal(a.sums + blockIndex() * a.rounds + round, sum);
    meet();
  }
}

// The counters wrap around on the way.
static void teamsMeet(const GridShape& shape, uint32_t blocks, uint64_t seed) {
  constexpr uint32_t kRounds = 3;
  const uint32_t first = UINT32_MAX - blocks;
  const DeviceArray<uint32_t> counters(std::vector<uint32_t>(shape.grid / blocks, first));
  const DeviceArray<float> slots(shape.grid), sums(shape.grid * kRounds);
  start(sumByTeams, shape, {counters.get(), slots.get(), sums.get(), blocks, kRounds, first}, seed);
  const std::vector<float> found = sums.read();
  for (uint32_t i = 0; i < shape.grid * kRounds; ++i) {
    const uint32_t firstBlock = i / kRounds / blocks * blocks;
    CHECK(found[i] == static_cast<float>(blocks * (firstBlock + i % kRounds) + blocks * (blocks - 1) / 2));
  }
  for (const uint32_t counter : counters.read()) CHECK(counter == first + 2 * kRounds * blocks);
}

// What has been reached is not waited for, so it needs no cooperative grid.
KERNEL awaitThePast(Buffers a) { awaitArrivals(a.counter, a.count); }

static void passesWhatWasReached() {
  const DeviceArray<uint32_t> counter(std::vector<uint32_t>{3});
  for (const uint32_t arrivals : {3u, 2u, 0u, 0x90000000u}) start(awaitThePast, {2, 1}, {nullptr, nullptr, counter.get(), arrivals});
}

// ---- the half types ----

KERNEL convertHalf(Buffers a) {
  const float value = loadGlobal(a.input + threadIndex());
  storeGlobal(a.output + threadIndex(), float16ToFloat(floatToFloat16(value)) + bfloat16ToFloat(floatToBfloat16(value)));
}

static void convertsHalfTypes() {
  const DeviceArray<float> input(std::vector<float>{1.0f, 1.0009765625f, -0.5f, 65504.0f});
  const DeviceArray<float> output(4);
  start(convertHalf, {1, 4}, {input.get(), output.get(), nullptr, 4});
  CHECK(output.read() == (std::vector<float>{2.0f, 2.0009765625f, -1.0f, 65504.0f + 65536.0f}));
}

// ---- around it ----

static void tellsWhatItTouched() {
  const DeviceArray<float> input(numbers(64)), output(64), other(64);
  const DeviceArray<uint32_t> counter(std::vector<uint32_t>{0});
  Touched touched;
  start(sumByLastBlock, {2, 32, 1, 128}, {input.get(), output.get(), counter.get(), 64}, 1, &touched);
  const std::set<uint64_t> read = {allocationOf(input.get()), allocationOf(output.get()), allocationOf(counter.get())};
  const std::set<uint64_t> written = {allocationOf(output.get()), allocationOf(counter.get())};
  CHECK(touched.read == read);
  CHECK(touched.written == written);
}

static void runsOnSeveralHostThreads() {
  const std::vector<float> expected = sumsOf(sumByGrid, {8, 64, 1, 128, true}, 9, 0);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) {
    threads.emplace_back([i, &expected] {
      for (uint64_t round = 0; round < 10; ++round) CHECK(sumsOf(sumByGrid, {8, 64, 1, 128, true}, 9, i * 100 + round) == expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

template <class T, int rounds>
KERNEL typed(T) {}

static void hasNamedKernels() {
  for (void* kernel : {reinterpret_cast<void*>(&tell), reinterpret_cast<void*>(&typed<Buffers, 3>)}) {
    Dl_info info = {};
    CHECK(dladdr(kernel, &info) != 0);
    CHECK(info.dli_sname != nullptr && info.dli_saddr == kernel);
  }
}

}  // namespace cuda_batchnorm::emulator

int main() {
  using namespace cuda_batchnorm::emulator;
  knowsItsPlace({1, 1});
  knowsItsPlace({6, 33});
  knowsItsPlace({4, 64, 2});
  knowsItsPlace({4, 1024, 4, 0, true});
  knowsItsPlace({16, 1024, 2, 0, true});
  dependsOnTheSeedAlone();
  hasTheSameBits(sumByLastBlock, {7, 256, 1, 128}, 8, 1);
  hasTheSameBits(sumByGrid, {7, 256, 1, 128, true}, 8, 1);
  hasTheSameBits(sumByGrid, {8, 128, 4, 128, true}, 9, 1);
  hasTheSameBits(sumByGrid, {12, 1024, 1, 128, true}, 13, 1);
  hasTheSameBits(sumByCluster, {8, 256, 4, 256}, 2, 2);
  lanesTellEachOther(32);
  lanesTellEachOther(100);
  lanesTellEachOther(1024);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    copiesArrive(seed);
    teamsMeet({12, 64, 1, 0, true}, 6, seed);
    teamsMeet({12, 32, 2, 0, true}, 12, seed);
  }
  copiesArriveEarlyOrLate();
  passesWhatWasReached();
  convertsHalfTypes();
  tellsWhatItTouched();
  runsOnSeveralHostThreads();
  hasNamedKernels();
}
