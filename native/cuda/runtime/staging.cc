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
      Blocks block;
      move(found, block);
      return {*this, std::move(block)};
    }
  }
  return {*this, allocate(wanted)};
}

Staging::Blocks Staging::allocate(size_t size) {
  Blocks blocks(1);
  Pinned::Block& block = blocks.front();
  const cudaError_t error = cudaHostAlloc(&block.memory, size, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    quietly(error);
    throw Error(ErrorCode::OutOfMemory,
                "Expected " + std::to_string(size) + " bytes of pinned host memory for a copy but the system refused");
  }
  CUDA_CHECK(error);
  block.size = size;
  return blocks;
}

void Staging::giveBack(Blocks block) noexcept {
  Blocks surplus;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    idleBytes_ += block.front().size;
    idle_.splice(idle_.end(), block);
    while (idleBytes_ > kMostIdle && outOfUse(idle_.front())) move(idle_.begin(), surplus);
  }
  // This waits for the device, and other copies must not wait with it.
  giveToSystem(surplus);
}

void Staging::trim() {
  const std::lock_guard<std::mutex> lock(mutex_);
  giveToSystem(idle_);
  idle_.clear();
  idleBytes_ = 0;
}

void Staging::move(Blocks::iterator block, Blocks& to) noexcept {
  idleBytes_ -= block->size;
  to.splice(to.end(), idle_, block);
}

void Staging::giveToSystem(const Blocks& blocks) noexcept {
  for (const Pinned::Block& block : blocks) quietly(cudaFreeHost(block.memory));
}

}  // namespace cuda_batchnorm::cuda
