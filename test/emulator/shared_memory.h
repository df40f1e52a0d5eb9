// A block's dynamic shared memory, and who touched which of its bytes when: what no barrier orders is a race.
//
// Time is the number of barriers that have been passed. Earlier accesses are forgotten by comparing times, so nothing has to be cleared
// between blocks, and a byte that was not written since the block began is uninitialised.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace cuda_batchnorm::emulator {

// One of a cluster's threads.
struct ThreadName {
  uint32_t value;  // block within the cluster, then 16 bits of thread

  static ThreadName of(uint32_t rank, uint32_t thread) { return {rank << 16 | thread}; }
  uint32_t rank() const { return value >> 16; }
  uint32_t thread() const { return value & 0xffff; }
  bool sameWarp(ThreadName other) const { return (value ^ other.value) < 32; }
  bool sameBlock(ThreadName other) const { return (value ^ other.value) < 1u << 16; }
};

// Who accesses, and the last barriers it passed.
struct Accessor {
  ThreadName thread;
  uint32_t warpTime;     // together with its warp
  uint32_t blockTime;    // with its block
  uint32_t clusterTime;  // with its cluster
  uint32_t beginning;    // when the cluster began
  uint32_t now;
};

// The time of what a copy brings, until its thread has waited for it.
constexpr uint32_t kUnderWay = UINT32_MAX;

struct SharedAccess {
  uint32_t time = 0;
  ThreadName thread = {0};

  // Whether it happened before all that `accessor` does now.
  bool precedes(const Accessor& accessor) const {
    if (time < accessor.clusterTime) return true;
    if (thread.sameBlock(accessor.thread) && time < accessor.blockTime) return true;
    if (thread.sameWarp(accessor.thread) && time < accessor.warpTime) return true;
    return thread.value == accessor.thread.value && time != kUnderWay;
  }
};

// What an access came upon.
struct SharedConflict {
  enum class Kind { None, Race, UnderWay, Uninitialised } kind = Kind::None;
  ThreadName other = {0};
  bool otherWrote = false;
  explicit operator bool() const { return kind != Kind::None; }
};

class SharedMemory {
 public:
  // Before a block begins.
  void reset(uint32_t bytes);

  uint32_t bytes() const { return bytes_; }
  unsigned char* data() { return reinterpret_cast<unsigned char*>(memory_.data()); }

  SharedConflict read(uint32_t offset, uint32_t bytes, const Accessor& accessor);
  SharedConflict write(uint32_t offset, uint32_t bytes, const Accessor& accessor);

  // Between the two nobody may access these bytes.
  SharedConflict beginCopy(uint32_t offset, uint32_t bytes, const Accessor& accessor);
  void endCopy(uint32_t offset, uint32_t bytes, const Accessor& accessor);

 private:
  // Of a word or of a byte. Two readers are remembered, of different warps where there are such: whoever writes, one of them is another's.
  struct Record {
    SharedAccess written;
    SharedAccess read[2];
  };
  static SharedConflict read(Record& record, const Accessor& accessor);
  static SharedConflict write(Record& record, const Accessor& accessor);
  template <class Check>
  SharedConflict each(uint32_t offset, uint32_t bytes, const Check& check);
  void split();

  static constexpr uint32_t kWordBytes = 4;

  uint32_t bytes_ = 0;
  uint32_t recordBytes_ = kWordBytes;  // 1 as soon as something smaller than a word was accessed
  std::vector<uint64_t> memory_;
  std::vector<Record> words_;
  std::vector<Record> single_;
};

}  // namespace cuda_batchnorm::emulator
