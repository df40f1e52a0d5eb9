// What a thread brings to its block's shared memory while it goes on: copies in the order they were begun, in groups that it closes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cuda_batchnorm::emulator {

constexpr uint32_t kCopyBytes = 16;

struct Copy {
  const unsigned char* source;
  uint32_t place;  // in the block's shared memory
  bool arrived;    // which nobody may know yet
};

class CopyQueue {
 public:
  size_t underWay() const { return copies_.size(); }
  void begin(const Copy& copy) { copies_.push_back({copy, closed_}); }
  void closeGroup() { ++closed_; }

  // Takes out all but those of the last `pending` groups and of the one that is not closed, and passes each to `end`.
  template <class End>
  void wait(uint32_t pending, const End& end) {
    size_t ended = 0;
    while (ended < copies_.size() && closed_ - copies_[ended].group > pending) end(copies_[ended++].copy);
    copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(ended));
  }

 private:
  struct Member {
    Copy copy;
    uint32_t group;
  };
  std::vector<Member> copies_;
  uint32_t closed_ = 0;  // groups
};

}  // namespace cuda_batchnorm::emulator
