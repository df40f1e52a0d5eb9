// Pinned host memory, which the device copies from and to on its own. It is slow to get, so blocks are used again.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <utility>

#include "event_handle.h"

namespace cuda_batchnorm::cuda {

class Staging;

// A block in use. Going back to the staging it came from, it stays out of use until the stream is done with it.
class Pinned {
 public:
  struct Block {
    void* memory = nullptr;
    size_t size = 0;
    EventHandle done;
  };

  // One block, with its place in the staging's list: so it goes back there without asking for memory.
  using Blocks = std::list<Block>;

  Pinned(Staging& staging, Blocks block) : staging_(&staging), block_(std::move(block)) {}
  ~Pinned();
  Pinned(Pinned&& other) noexcept : staging_(std::exchange(other.staging_, nullptr)), block_(std::move(other.block_)) {}
  Pinned& operator=(Pinned&&) = delete;

  void* memory() const { return block_.front().memory; }
  // The stream uses the block in the work queued up to now.
  void usedOn(cudaStream_t stream) { CUDA_CHECK(cudaEventRecord(block_.front().done.get(), stream)); }

 private:
  Staging* staging_;
  Blocks block_;
};

// Blocks come from one thread, and go back on any.
class Staging {
 public:
  Staging() = default;
  ~Staging() { trim(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  // Throws ErrorCode::OutOfMemory.
  Pinned take(size_t bytes);
  // Gives idle blocks back to the system; they must be out of use.
  void trim();

 private:
  friend class Pinned;
  using Blocks = Pinned::Blocks;

  static Blocks allocate(size_t size);
  static void giveToSystem(const Blocks& blocks) noexcept;
  void giveBack(Blocks block) noexcept;
  // Of idle blocks, which then are another's.
  void move(Blocks::iterator block, Blocks& to) noexcept;

  std::mutex mutex_;
  Blocks idle_;  // the longest idle first
  size_t idleBytes_ = 0;
};

}  // namespace cuda_batchnorm::cuda
