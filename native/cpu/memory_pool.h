// Blocks of host memory that are used again and again. Order is the queue's: a block given back may be handed out at once,
// because its next user's work is queued behind the work of the last. Called from the thread that queues the work.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <unordered_map>

#include "../core/backend.h"

namespace cuda_batchnorm::cpu {

class MemoryPool {
 public:
  // `waitForWork` returns when no queued work can touch a released block any more: what memory needs before the system gets it back.
  MemoryPool(std::function<void()> waitForWork, size_t limit);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  void* allocate(size_t bytes);  // aligned to 64 bytes, to 2 MiB from there on; throws ErrorCode::OutOfMemory
  void release(void* block) noexcept;

  size_t size(void* block) const { return blocks_.at(block).size; }  // with rounding
  MemoryUse use() const { return use_; }
  void setLimit(size_t bytes);
  void trim();  // gives idle blocks back to the system

  // What allocate(bytes) takes from the system, at most a quarter more than asked from 256 bytes on. 0: more than there can be.
  static size_t blockSize(size_t bytes);

 private:
  // Kept apart from the memory itself, which queued work may still write when the block is already idle.
  struct Block {
    void* address = nullptr;
    size_t size = 0;
    size_t requested = 0;
    Block* nextIdle = nullptr;
  };

  Block* takeIdle(size_t size);
  Block* reserve(size_t size);

  const std::function<void()> waitForWork_;
  MemoryUse use_;
  std::unordered_map<void*, Block> blocks_;  // all that are reserved, by address
  std::map<size_t, Block*> idle_;            // by size: the block released last, then along nextIdle
};

}  // namespace cuda_batchnorm::cpu
