// Which thread goes on next: at random, but mostly one of the same warp, because 32 stacks stay in the cache where a thousand do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "random.h"

namespace cuda_batchnorm::emulator {

// Threads that can go on, as lanes of warps.
class Schedule {
 public:
  struct Place {
    uint32_t warp;
    uint32_t lane;
  };

  void reset(size_t warps) {
    lanes_.assign(warps, 0);
    warps_.clear();
    chosen_ = kNone;
  }

  bool empty() const { return warps_.empty(); }

  void add(uint32_t warp, uint32_t lanes) {
    if (lanes == 0) return;
    if (lanes_[warp] == 0) warps_.push_back(warp);
    lanes_[warp] |= lanes;
  }

  // Takes one out; there must be one.
  Place take(Random& random) {
    const auto bits = static_cast<uint32_t>(random.next());
    const bool change = bits >> 25 == 0;
    if (change || chosen_ == kNone) chosen_ = random.below(static_cast<uint32_t>(warps_.size()));
    const uint32_t warp = warps_[chosen_];
    const uint32_t lane = firstFrom(lanes_[warp], bits & 31);
    lanes_[warp] &= ~(1u << lane);
    if (lanes_[warp] == 0) {
      warps_[chosen_] = warps_.back();
      warps_.pop_back();
      chosen_ = kNone;
    }
    return {warp, lane};
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  // The first of the lanes from this one on, going round.
  static uint32_t firstFrom(uint32_t lanes, uint32_t lane) {
    const uint32_t rotated = lanes >> lane | lanes << (32 - lane) % 32;
    return (lane + static_cast<uint32_t>(__builtin_ctz(rotated))) % 32;
  }

  std::vector<uint32_t> lanes_;  // by warp
  std::vector<uint32_t> warps_;  // that have such lanes
  uint32_t chosen_ = kNone;      // among them
};

}  // namespace cuda_batchnorm::emulator
