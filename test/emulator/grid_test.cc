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
  convertsHalfTypes();
  tellsWhatItTouched();
  runsOnSeveralHostThreads();
  hasNamedKernels();
}
