// Element types and the conversions of the half types, to nearest even as IEEE 754 rounds.
//
// Functions here are static: files compiled for different instruction sets include them, and the linker must never keep one file's
// copy for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace cuda_batchnorm {

// The numbers are shared with lib/addon.ts.
enum class DType : int32_t { Float32 = 0, Float64, Float16, BFloat16 };

constexpr int32_t kDTypeCount = 4;

constexpr size_t sizeOf(DType dtype) { return dtype == DType::Float64 ? 8 : dtype == DType::Float32 ? 4 : 2; }

struct Float16 {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

static inline uint32_t floatBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float floatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float toFloat(BFloat16 value) { return floatFromBits(static_cast<uint32_t>(value.bits) << 16); }

static inline BFloat16 toBFloat16(float value) {
  const uint32_t bits = floatBits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};  // a quiet NaN
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

static inline float toFloat(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return floatFromBits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Scaling by 2^112 rebiases the exponent, and makes normal floats of half's subnormals on the way.
  const float rebased = floatFromBits(magnitude << 13) * floatFromBits(0x77800000u);
  return floatFromBits(sign | floatBits(rebased));
}

static inline Float16 toFloat16(float value) {
  const uint32_t bits = floatBits(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu))};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds to infinity from 65520 on
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 lets the float adder do the shift and the rounding.
    const float shifted = floatFromBits(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (floatBits(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

}  // namespace cuda_batchnorm
