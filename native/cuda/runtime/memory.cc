#include "memory.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "../../core/error.h"
#include "check.h"

namespace cuda_batchnorm::cuda {
namespace {

uintptr_t number(const void* address) { return reinterpret_cast<uintptr_t>(address); }

}  // namespace

Memory::Memory(int device, std::string name, size_t limit, std::function<void()> waitForWork)
    : device_(device), name_(std::move(name)), total_(limit), waitForWork_(std::move(waitForWork)), limit_(limit) {
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.handleTypes = cudaMemHandleTypeNone;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device_;
  CUDA_CHECK(cudaMemPoolCreate(&pool_, &properties));
  uint64_t keepAll = std::numeric_limits<uint64_t>::max();  // else each wait for the device gives idle memory back
  CUDA_CHECK(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keepAll));
}

Memory::~Memory() {
  while (!blocks_.empty()) free(blocks_.begin());
  quietly(cudaMemPoolDestroy(pool_));
}

void* Memory::allocate(size_t bytes, const std::shared_ptr<Lane>& home, Count count) {
  const size_t size = std::max<size_t>(bytes, 1);
  const bool fits = live_ <= limit_ && size <= limit_ - live_;
  void* block = fits ? tryAllocate(size, *home) : nullptr;
  if (block == nullptr && fits) {
    trim();
    block = tryAllocate(size, *home);
  }
  if (block == nullptr) {
    throw Error(ErrorCode::OutOfMemory, "Expected " + std::to_string(bytes) + " bytes of memory on " + name_ + " but " +
                                            std::to_string(live_) + " are live and " + std::to_string(reserved()) +
                                            " reserved, with a limit of " + std::to_string(limit_));
  }
  const size_t counted = count == Count::Yes ? bytes : 0;
  try {
    blocks_.emplace(number(block), Block{counted, size, 1, home, {}});
  } catch (...) {
    quietly(cudaFreeAsync(block, home->handle()));
    throw;
  }
  live_ += counted;
  peak_ = std::max(peak_, live_);
  return block;
}

// Null where the device has no more memory, or the pool would grow beyond the limit.
void* Memory::tryAllocate(size_t bytes, const Lane& home) {
  void* block = nullptr;
  const cudaError_t error = cudaMallocFromPoolAsync(&block, bytes, pool_, home.handle());
  if (error == cudaErrorMemoryAllocation) {
    quietly(error);
    return nullptr;
  }
  CUDA_CHECK(error);
  if (limit_ < total_ && reserved() > limit_) {
    quietly(cudaFreeAsync(block, home.handle()));
    return nullptr;
  }
  return block;
}

void Memory::release(void* block) noexcept {
  const auto entry = blocks_.find(number(block));
  if (--entry->second.owners == 0) free(entry);
}

// What is queued on the home from now on follows all that uses the block.
void Memory::gather(Block& block) {
  for (const auto& user : block.users) {
    if (user != block.home) block.home->follow(*user);
  }
  block.users.clear();
}

void Memory::free(Blocks::iterator entry) noexcept {
  Block& block = entry->second;
  try {
    gather(block);
  } catch (...) {  // the device is lost, and with it the order
  }
  quietly(cudaFreeAsync(reinterpret_cast<void*>(entry->first), block.home->handle()));  // NOLINT(performance-no-int-to-ptr)
  live_ -= block.counted;
  blocks_.erase(entry);
}

void* Memory::retain(const void* address) {
  const auto block = find(address);
  if (block == blocks_.end()) return nullptr;
  ++block->second.owners;
  return reinterpret_cast<void*>(block->first);  // NOLINT(performance-no-int-to-ptr)
}

void Memory::use(const void* address, const std::shared_ptr<Lane>& lane) {
  const auto entry = find(address);
  if (entry == blocks_.end()) return;
  Block& block = entry->second;
  if (block.home == lane || std::find(block.users.begin(), block.users.end(), lane) != block.users.end()) return;
  lane->follow(*block.home);
  block.users.push_back(lane);
}

void Memory::adopt(const void* address, const std::shared_ptr<Lane>& lane) {
  const auto entry = find(address);
  if (entry == blocks_.end()) return;
  Block& block = entry->second;
  if (block.home != lane) block.users.push_back(std::exchange(block.home, lane));
  gather(block);
}

MemoryUse Memory::use() const { return {live_, peak_, reserved(), limit_}; }

void Memory::setLimit(size_t bytes) {
  limit_ = bytes;
  if (reserved() > bytes) trim();
}

void Memory::trim() {
  waitForWork_();
  CUDA_CHECK(cudaMemPoolTrimTo(pool_, 0));
}

size_t Memory::reserved() const {
  uint64_t bytes = 0;
  CUDA_CHECK(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &bytes));
  return bytes;
}

// An address may lie anywhere in its block.
Memory::Blocks::iterator Memory::find(const void* address) {
  auto block = blocks_.upper_bound(number(address));
  if (block == blocks_.begin()) return blocks_.end();
  --block;
  return number(address) - block->first < block->second.size ? block : blocks_.end();
}

}  // namespace cuda_batchnorm::cuda
