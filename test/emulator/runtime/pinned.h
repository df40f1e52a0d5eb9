// Page-locked memory of the host: what copies can read and write while the host goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace cuda_batchnorm::emulator {

// The caller keeps threads apart.
class PinnedMemory {
 public:
  struct Block {
    const char* first = nullptr;
    size_t bytes = 0;
    uint64_t id = 0;
    bool registered = false;  // belongs to the program
  };

  void* allocate(size_t bytes);
  bool registerBlock(void* memory, size_t bytes);  // false where it is registered already
  // The block that begins here; nullptr for none.
  const Block* at(const void* memory) const;
  void release(const Block& block);

  // The block that these bytes lie in; nullptr where one of them is not pinned.
  const Block* find(const void* memory, size_t bytes) const;
  size_t allocatedBytes() const { return allocatedBytes_; }

 private:
  const Block& add(char* first, size_t bytes, bool registered);

  std::map<const char*, Block> blocks_;
  size_t allocatedBytes_ = 0;
  uint64_t lastId_ = uint64_t{1} << 63;  // far from the numbers of device memory
};

}  // namespace cuda_batchnorm::emulator
