// The memory of one device: a pool of CUDA's, ordered with streams.
//
// A block has a home, the stream whose order its allocation and its release are part of. Another stream that uses the block
// first waits for the home, and the home waits for all such streams before it gives the block back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../core/backend.h"
#include "lane.h"

namespace cuda_batchnorm::cuda {

// Used from one thread.
class Memory {
 public:
  // Whether the bytes are part of what memory() tells.
  enum class Count { Yes, No };

  Memory(int device, std::string name, size_t limit, std::function<void()> waitForWork);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Has one owner. Throws ErrorCode::OutOfMemory with byte counts.
  void* allocate(size_t bytes, const std::shared_ptr<Lane>& home, Count count = Count::Yes);
  void release(void* block) noexcept;  // one owner less

  // The block that the address lies in has one owner more. Null where it lies in none, as memory owned elsewhere does.
  void* retain(const void* address);
  // Puts work on `lane` behind what the home of the block was given, the first time.
  void use(const void* address, const std::shared_ptr<Lane>& lane);
  // Puts work on `lane` behind what any stream was given that uses the block, and makes all later work wait for it.
  void adopt(const void* address, const std::shared_ptr<Lane>& lane);

  MemoryUse use() const;
  void setLimit(size_t bytes);
  void trim();  // gives idle memory back to the system; waits for queued work first

 private:
  struct Block {
    size_t counted = 0;
    size_t size = 0;
    size_t owners = 1;
    std::shared_ptr<Lane> home;
    std::vector<std::shared_ptr<Lane>> users;  // other lanes that are behind the home as it was when they came
  };
  using Blocks = std::map<uintptr_t, Block>;

  void* tryAllocate(size_t bytes, const Lane& home);
  size_t reserved() const;
  Blocks::iterator find(const void* address);
  static void gather(Block& block);
  void free(Blocks::iterator block) noexcept;

  const int device_;
  const std::string name_;
  const size_t total_;
  const std::function<void()> waitForWork_;
  cudaMemPool_t pool_ = nullptr;
  Blocks blocks_;
  size_t live_ = 0;
  size_t peak_ = 0;
  size_t limit_;
};

}  // namespace cuda_batchnorm::cuda
