#include "staging.h"

#include <algorithm>
#include <string>
#include <utility>

#include "../../core/error.h"

namespace cuda_batchnorm::cuda {
namespace {

constexpr size_t kMostIdle = size_t{512} << 20;  // bytes kept for the next copy
constexpr size_t kStep = size_t{64} << 10;       // sizes are rounded up to this, so that nearly equal ones share blocks

bool outOfUse(const Pinned::Block& block) {
  const cudaError_t state = cudaEventQuery(block.done.get());
  quietly(state);
  return state != cudaErrorNotReady;  // on a lost device nothing is in use any more
}

}  // namespace

Pinned::~Pinned() {
  if (staging_ != nullptr) staging_->giveBack(std::move(block_));
}

Pinned Staging::take(size_t bytes) {
  const size_t wanted = (bytes + kStep - 1) / kStep * kStep;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // At most twice what is needed: a large block should wait for a large copy.
    const auto fits = [wanted](const Pinned::Block& block) { return block.size >= wanted && block.size / 2 <= wanted; };
    const auto found = std::find_if(idle_.begin(), idle_.end(), fits);
    // The longest idle one that fits; while it is in use, so most likely are those that came back later.
    if (found != idle_.end() && outOfUse(*found)) {
      Pinned::Block block = std::move(*found);
      idle_.erase(found);
      idleBytes_ -= block.size;
      return {*this, std::move(block)};
    }
  }
  return {*this, allocate(wanted)};
}

Pinned::Block Staging::allocate(size_t size) {
  Pinned::Block block;
  const cudaError_t error = cudaHostAlloc(&block.memory, size, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    quietly(error);
    throw Error(ErrorCode::OutOfMemory,
                "Expected " + std::to_string(size) + " bytes of pinned host memory for a copy but the system refused");
  }
  CUDA_CHECK(error);
  block.size = size;
  return block;
}

void Staging::giveBack(Pinned::Block block) noexcept {
  Blocks surplus;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    idleBytes_ += block.size;
    idle_.push_back(std::move(block));
    while (idleBytes_ > kMostIdle && outOfUse(idle_.front())) {
      idleBytes_ -= idle_.front().size;
      surplus.push_back(std::move(idle_.front()));
      idle_.erase(idle_.begin());
    }
  }
  // This waits for the device, and other copies must not wait with it.
  for (const Pinned::Block& freed : surplus) quietly(cudaFreeHost(freed.memory));
}

void Staging::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  while (!idle_.empty()) free(idle_.begin());
}

void Staging::free(Blocks::iterator block) {
  quietly(cudaFreeHost(block->memory));
  idleBytes_ -= block->size;
  idle_.erase(block);
}

}  // namespace cuda_batchnorm::cuda
