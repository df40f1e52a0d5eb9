// Numbers that depend on the seed alone.
#pragma once

#include <cstdint>

namespace cuda_batchnorm::emulator {

class Random {
 public:
  explicit Random(uint64_t seed = 0) : state_(seed) {}

  // 0 to bound - 1
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }

  // SplitMix64
  uint64_t next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
  }

 private:
  uint64_t state_;
};

}  // namespace cuda_batchnorm::emulator
