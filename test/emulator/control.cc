#include "control.h"

#include <algorithm>
#include <chrono>

#include "runtime/driver.h"
#include "runtime/streams.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr std::chrono::seconds kPatience{10};

std::unique_lock<std::mutex> locked() { return std::unique_lock<std::mutex>(driver().mutex); }

}  // namespace

void setSeed(uint64_t seed) {
  const auto lock = locked();
  driver().seed = seed;
}

void failNth(FailureKind kind, uint64_t nth, uint64_t times) {
  const auto lock = locked();
  driver().failures.plan(kind, nth, times);
}

void reset() {
  Driver& state = driver();
  auto lock = locked();
  state.failures.clear();
  state.progress.wait_for(lock, kPatience, [&] {
    return std::all_of(state.living.begin(), state.living.end(),
                       [](const auto& stream) { return !stream->device->sickness || stream->idle(); });
  });
  for (const auto& device : state.devices) device->sickness.reset();
  state.lastFault.clear();
  forgetLastError();
}

size_t pinnedBytes() {
  const auto lock = locked();
  return driver().pinned.allocatedBytes();
}

std::string lastFault() {
  const auto lock = locked();
  return driver().lastFault;
}

}  // namespace cuda_batchnorm::emulator
