#include "device.h"

#include "batch_norm.h"
#include "sanitizer.h"
#include "system.h"

namespace cuda_batchnorm::cpu {

Device::Device() : threads_(usableThreads()), pool_([this] { queue_.wait(); }, usableMemory() / 10 * 8) {}

void Device::emptyCache() {
  pool_.trim();
  staging_.trim();
}

std::string Device::description() const {
  constexpr size_t kGibibyte = size_t{1} << 30;
  return processorName() + ", " + instructionSet() + ", " + std::to_string(threads_.threads()) +
         (threads_.threads() == 1 ? " thread, " : " threads, ") + std::to_string((pool_.use().limit + kGibibyte / 2) / kGibibyte) + " GiB";
}

// Poison follows the order of the work, as the memory does: the queue puts it on and takes it off.
void* Device::allocate(size_t bytes, cuda_batchnorm::Stream*) {
  void* const block = pool_.allocate(bytes);
  if constexpr (kPoisoning) {
    queue_.submit([=, size = pool_.size(block)] {
      poison(block, size);
      unpoison(block, bytes);
    });
  }
  return block;
}

void Device::release(void* block) noexcept {
  if constexpr (kPoisoning) queue_.submit([=, size = pool_.size(block)] { poison(block, size); });
  pool_.release(block);
}

std::unique_ptr<Capture> Device::capture() {
  throw Error(ErrorCode::State, "Expected a CUDA device for a capture but received cpu, which has no graphs");
}

BackendReport report() {
  BackendReport report;
  report.name = "cpu";
  report.available = true;
  report.version = std::string(instructionSet()) + ", " + std::to_string(usableThreads()) + " threads";
  return report;
}

}  // namespace cuda_batchnorm::cpu
