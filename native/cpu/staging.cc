#include "staging.h"

#include <algorithm>
#include <string>
#include <utility>

#include "../core/error.h"
#include "sanitizer.h"
#include "system.h"

namespace cuda_batchnorm::cpu {

namespace {

constexpr size_t kMostIdle = size_t{512} << 20;  // bytes kept for the next upload
constexpr size_t kStep = size_t{64} << 10;       // sizes are rounded up to this, so that nearly equal ones share blocks

}  // namespace

std::shared_ptr<void> Staging::copy(const void* host, size_t bytes) {
  const Block block = take(bytes);
  std::shared_ptr<void> owner(block.memory, [this, block](void*) { giveBack(block); });
  copyBytes(block.memory, host, bytes);
  return owner;
}

Staging::Block Staging::take(size_t bytes) {
  const size_t wanted = (bytes + kStep - 1) / kStep * kStep;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // At most twice what is needed: a large block should wait for a large upload.
    const auto fits = [wanted](const Block& block) { return block.bytes >= wanted && block.bytes / 2 <= wanted; };
    const auto found = std::find_if(idle_.begin(), idle_.end(), fits);
    if (found != idle_.end()) {
      const Block block = *found;
      idle_.erase(found);
      idleBytes_ -= block.bytes;
      return block;
    }
  }
  void* const memory = systemAllocate(wanted);
  if (memory == nullptr) {
    throw Error(ErrorCode::OutOfMemory,
                "Expected " + std::to_string(wanted) + " bytes of host memory for an upload but the system refused");
  }
  return {memory, wanted};
}

void Staging::giveBack(Block block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(block);
  idleBytes_ += block.bytes;
  while (idleBytes_ > kMostIdle) {
    systemFree(idle_.front().memory, idle_.front().bytes);
    idleBytes_ -= idle_.front().bytes;
    idle_.erase(idle_.begin());
  }
}

void Staging::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Block& block : idle_) systemFree(block.memory, block.bytes);
  idle_.clear();
  idleBytes_ = 0;
}

}  // namespace cuda_batchnorm::cpu
