// Division by a number that is known before the launch: a multiplication and a shift (Granlund & Montgomery 1994).
#pragma once

#include <cstdint>

namespace cuda_batchnorm::cuda {

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HOST_DEVICE inline
#endif

// For dividends below 2^31 and divisors from 1 to 2^31.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(uint32_t value) : value_(value) {
    while ((uint64_t{1} << shift_) < value) ++shift_;
    multiplier_ = static_cast<uint32_t>(((uint64_t{1} << 32) * ((uint64_t{1} << shift_) - value)) / value + 1);
  }

  HOST_DEVICE uint32_t value() const { return value_; }
  HOST_DEVICE uint32_t quotient(uint32_t dividend) const {
    const auto high = static_cast<uint32_t>((static_cast<uint64_t>(dividend) * multiplier_) >> 32);
    return (high + dividend) >> shift_;
  }
  HOST_DEVICE uint32_t remainder(uint32_t dividend) const { return dividend - quotient(dividend) * value_; }

 private:
  uint32_t value_ = 1;
  uint32_t multiplier_ = 1;
  uint32_t shift_ = 0;
};

}  // namespace cuda_batchnorm::cuda
