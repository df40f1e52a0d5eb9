#include "memory_pool.h"

#include <algorithm>
#include <string>
#include <utility>

#include "system.h"

namespace cuda_batchnorm::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargestRequest = size_t{1} << 62;

size_t roundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

MemoryPool::MemoryPool(std::function<void()> waitForWork, size_t limit) : waitForWork_(std::move(waitForWork)) { use_.limit = limit; }

MemoryPool::~MemoryPool() {
  for (auto& [address, block] : blocks_) systemFree(address, block.size);
}

// Four sizes to a doubling. What would fill most of a huge page gets all of it.
size_t MemoryPool::blockSize(size_t bytes) {
  if (bytes > kLargestRequest) return 0;
  size_t step = kAlignment;
  while (step * 8 < bytes) step *= 2;
  const size_t size = std::max(kAlignment, roundUp(bytes, step));
  return size > kHugePage && size % kHugePage > kHugePage / 2 ? roundUp(size, kHugePage) : size;
}

void* MemoryPool::allocate(size_t bytes) {
  const size_t size = blockSize(bytes);
  Block* block = size == 0 ? nullptr : takeIdle(size);
  if (block == nullptr) block = reserve(size);
  if (block == nullptr) {
    trim();
    block = reserve(size);
  }
  if (block == nullptr) {
    throw Error(ErrorCode::OutOfMemory, "Expected " + std::to_string(bytes) + " bytes of memory on cpu but " + std::to_string(use_.live) +
                                            " are live and " + std::to_string(use_.reserved) + " reserved, with a limit of " +
                                            std::to_string(use_.limit));
  }
  block->requested = bytes;
  use_.live += bytes;
  use_.peak = std::max(use_.peak, use_.live);
  return block->address;
}

void MemoryPool::release(void* address) noexcept {
  Block& block = blocks_.at(address);
  use_.live -= block.requested;
  Block*& newest = idle_.at(block.size);
  block.nextIdle = std::exchange(newest, &block);
}

void MemoryPool::setLimit(size_t bytes) {
  use_.limit = bytes;
  if (use_.reserved > bytes) trim();
}

void MemoryPool::trim() {
  const bool anyIdle = std::any_of(idle_.begin(), idle_.end(), [](const auto& entry) { return entry.second != nullptr; });
  if (!anyIdle) return;
  waitForWork_();
  for (const auto& entry : idle_) {
    while (const Block* block = takeIdle(entry.first)) {
      void* const address = block->address;
      use_.reserved -= block->size;
      systemFree(address, block->size);
      blocks_.erase(address);
    }
  }
}

MemoryPool::Block* MemoryPool::takeIdle(size_t size) {
  const auto entry = idle_.find(size);
  if (entry == idle_.end() || entry->second == nullptr) return nullptr;
  Block* const block = entry->second;
  entry->second = block->nextIdle;
  return block;
}

MemoryPool::Block* MemoryPool::reserve(size_t size) {
  const size_t allowed = use_.limit - std::min(use_.limit, use_.reserved);
  if (size == 0 || size > allowed) return nullptr;
  void* const address = systemAllocate(size);
  if (address == nullptr) return nullptr;
  try {
    idle_.emplace(size, nullptr);  // so that release() need not allocate
    Block& block = blocks_[address];
    block.address = address;
    block.size = size;
    use_.reserved += size;
    return &block;
  } catch (...) {
    systemFree(address, size);
    throw;
  }
}

}  // namespace cuda_batchnorm::cpu
