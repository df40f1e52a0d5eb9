// Host memory that holds what is to be uploaded while the queue is still busy with what comes before.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace cuda_batchnorm::cpu {

// Blocks come back from the queue's thread and are used again, so that steady-state training takes no new memory.
class Staging {
 public:
  Staging() = default;
  ~Staging() { trim(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // A copy of the bytes, given back when its last owner lets go, which must happen in the lifetime of this object.
  // Throws ErrorCode::OutOfMemory.
  std::shared_ptr<void> copy(const void* host, size_t bytes);

  void trim();  // gives idle blocks back to the system

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };

  Block take(size_t bytes);
  void giveBack(Block block);

  std::mutex mutex_;
  std::vector<Block> idle_;  // the longest idle first
  size_t idleBytes_ = 0;
};

}  // namespace cuda_batchnorm::cpu
