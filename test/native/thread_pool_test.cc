#include "../../native/cpu/thread_pool.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using cuda_batchnorm::cpu::ThreadPool;

void runsEachTaskOnce(int threads) {
  ThreadPool pool(threads);
  CHECK(pool.threads() == (threads < 1 ? 1 : threads));
  for (const int64_t count : {0, 1, 2, 3, 7, 64, 1000}) {
    // Not atomic on purpose: a sanitizer reports it if two threads ever run one task.
    std::vector<int> runs(static_cast<size_t>(count));
    pool.run(count, [&](int64_t index) { ++runs[static_cast<size_t>(index)]; });
    for (const int times : runs) CHECK(times == 1);
  }
}

// The helpers are slow, so the caller runs out of tasks first, and the next job meets workers on their way out of, or into, the last one.
void keepsJobsApart() {
  ThreadPool pool(4);
  const std::thread::id caller = std::this_thread::get_id();
  for (int64_t job = 0; job < 5000; ++job) {
    const int64_t count = 2 + job % 5;
    std::vector<int64_t> seen(static_cast<size_t>(count));
    const auto task = std::make_unique<std::function<void(int64_t)>>([&, job](int64_t index) {
      for (int turn = 0; turn < (std::this_thread::get_id() == caller ? 1 : 20); ++turn) std::this_thread::yield();
      seen[static_cast<size_t>(index)] += job + index;
    });
    pool.run(count, *task);
    for (int64_t index = 0; index < count; ++index) CHECK(seen[static_cast<size_t>(index)] == job + index);
  }
}

void usesOtherThreads() {
  ThreadPool pool(2);
  // The first task waits for the second, so one thread alone would never end.
  std::atomic<int> started{0};
  pool.run(2, [&](int64_t) {
    ++started;
    while (started < 2) {
    }
  });
  CHECK(started == 2);
}

void startsNoThreadWithoutNeed() {
  for (int pools = 0; pools < 1000; ++pools) {
    ThreadPool pool(1024);
    int runs = 0;
    pool.run(1, [&](int64_t) { ++runs; });
    CHECK(runs == 1);
  }
}

}  // namespace

int main() {
  for (const int threads : {0, 1, 2, 3, 8}) runsEachTaskOnce(threads);
  keepsJobsApart();
  usesOtherThreads();
  startsNoThreadWithoutNeed();
}
