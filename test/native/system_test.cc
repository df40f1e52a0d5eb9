#include "../../native/cpu/system.h"

#include <atomic>
#include <thread>

#include "check.h"

#ifdef __linux__
#include <pthread.h>
#include <sched.h>
#endif

using namespace cuda_batchnorm::cpu;

namespace {

#ifdef __linux__
cpu_set_t coresOf(pthread_t thread) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CHECK(pthread_getaffinity_np(thread, sizeof cores, &cores) == 0);
  return cores;
}

// One core less for the thread, all that the caller has otherwise, and nothing less for the caller itself.
void keepsThreadsOffACore() {
  const cpu_set_t own = coresOf(pthread_self());
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) std::this_thread::yield();
  });
  for (int turn = 0; turn < 3; ++turn) {
    const auto core = static_cast<size_t>(currentCore());
    keepOff(static_cast<int>(core), other);
    cpu_set_t expected = own;
    if (CPU_COUNT(&own) > 1) CPU_CLR(core, &expected);
    const cpu_set_t now = coresOf(other.native_handle());
    CHECK(CPU_EQUAL(&now, &expected));
  }
  for (const int unknown : {-1, CPU_SETSIZE, CPU_SETSIZE + 1}) {
    const cpu_set_t before = coresOf(other.native_handle());
    keepOff(unknown, other);
    const cpu_set_t now = coresOf(other.native_handle());
    CHECK(CPU_EQUAL(&now, &before));
  }
  done = true;
  other.join();
  const cpu_set_t after = coresOf(pthread_self());
  CHECK(CPU_EQUAL(&after, &own));
}

void countsCores() {
  const cpu_set_t own = coresOf(pthread_self());
  CHECK(usableCores() == CPU_COUNT(&own));
}
#else
void keepsThreadsOffACore() {}
void countsCores() { CHECK(usableCores() >= 1); }
#endif

}  // namespace

int main() {
  countsCores();
  keepsThreadsOffACore();
}
