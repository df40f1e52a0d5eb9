#include "counters.h"

#include <thread>

#include "testing.h"

namespace cuda_batchnorm::emulator {

using namespace cuda;

struct Arguments {
  const float* input;
  float* output;
  uint32_t* counter;
  uint32_t step;
};

struct Four {
  float values[4];
};

KERNEL copyStep(Arguments a) {
  const uint32_t i = (blockIndex() * blockThreads() + threadIndex()) * a.step;
  storeGlobal(a.output + i, loadGlobal(a.input + i));
}

KERNEL copyFour(Arguments a) {
  const uint32_t i = blockIndex() * blockThreads() + threadIndex();
  storeGlobal(reinterpret_cast<Four*>(a.output) + i, loadReadOnly(reinterpret_cast<const Four*>(a.input) + i));
}

KERNEL copyFourAsync(Arguments a) {
  const auto own = dynamicShared<Four>(0);
  const uint32_t i = blockIndex() * blockThreads() + threadIndex();
  copyAsync(own, threadIndex(), reinterpret_cast<const Four*>(a.input) + i);
  closeCopies();
  waitForCopies<0>();
  storeGlobal(reinterpret_cast<Four*>(a.output) + i, own.load(threadIndex()));
}

// Each thread its own stretch: sectors are touched again and again.
KERNEL copyStretch(Arguments a) {
  for (uint32_t i = 0; i < 8; ++i) {
    const uint32_t place = threadIndex() * 8 + i;
    storeGlobal(a.output + place, loadGlobal(a.input + place));
  }
}

KERNEL broadcast(Arguments a) { storeGlobal(a.output + threadIndex(), loadGlobal(a.input)); }

KERNEL onlyArrive(Arguments a) { arriveAt(a.counter); }

static KernelCounters countersOf(void (*kernel)(Arguments), const GridShape& shape, uint32_t step = 1, size_t offset = 0) {
  const DeviceArray<float> input(std::vector<float>(4096, 1.0f)), output(4096);
  const DeviceArray<uint32_t> counter(std::vector<uint32_t>{0});
  start(kernel, shape, {input.get() + offset, output.get(), counter.get(), step});
  const std::vector<KernelCounters> counters = takeCounters();
  CHECK(counters.size() == 1 && counters[0].kernel == "tested" && counters[0].launches == 1);
  return counters[0];
}

static bool moved(const KernelCounters& counters, uint64_t loadBytes, uint64_t loadSectors, uint64_t storeBytes, uint64_t storeSectors) {
  return counters.loadBytes == loadBytes && counters.loadSectors == loadSectors && counters.storeBytes == storeBytes &&
         counters.storeSectors == storeSectors;
}

static void isOffAtFirst() {
  const DeviceArray<float> memory(std::vector<float>(32, 1.0f));
  runGrid(
      "none", {1, 32},
      [&] {
        broadcast({memory.get(), memory.get(), nullptr, 0});
      },
      1);
  CHECK(takeCounters().empty());
}

static void addsUpByKernel() {
  const DeviceArray<float> memory(std::vector<float>(64, 1.0f)), output(64);
  std::vector<std::thread> threads;
  for (const char* kernel : {"second", "first", "second"}) {
    threads.emplace_back([&, kernel] {
      runGrid(
          kernel, {1, 32},
          [&] {
            copyStep({memory.get(), output.get(), nullptr, 1});
          },
          1);
    });
    threads.back().join();
  }
  const std::vector<KernelCounters> counters = takeCounters();
  CHECK(counters.size() == 2);
  CHECK(counters[0].kernel == "first" && counters[0].launches == 1 && moved(counters[0], 128, 4, 128, 4));
  CHECK(counters[1].kernel == "second" && counters[1].launches == 2 && moved(counters[1], 256, 8, 256, 8));
  CHECK(takeCounters().empty());
}

}  // namespace cuda_batchnorm::emulator

int main() {
  using namespace cuda_batchnorm::emulator;
  isOffAtFirst();
  enableCounting(true);
  CHECK(moved(countersOf(copyStep, {4, 256}), 4096, 128, 4096, 128));
  CHECK(moved(countersOf(copyStep, {1, 40}), 160, 5, 160, 5));
  CHECK(moved(countersOf(copyStep, {1, 64}, 1, 1), 256, 10, 256, 8));  // each warp's 128 bytes begin within a sector
  CHECK(moved(countersOf(copyStep, {1, 64}, 2), 256, 16, 256, 16));
  CHECK(moved(countersOf(copyStep, {1, 64}, 16), 256, 64, 256, 64));
  CHECK(moved(countersOf(copyFour, {2, 128}), 4096, 128, 4096, 128));
  CHECK(moved(countersOf(copyFourAsync, {2, 128, 1, 2048}), 4096, 128, 4096, 128));
  CHECK(moved(countersOf(copyStretch, {1, 32}), 1024, 256, 1024, 256));
  CHECK(moved(countersOf(broadcast, {1, 64}), 256, 2, 256, 8));
  CHECK(moved(countersOf(onlyArrive, {1, 64}), 0, 0, 0, 0));
  addsUpByKernel();
  enableCounting(false);
  isOffAtFirst();
}
