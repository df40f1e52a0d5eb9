// Tells AddressSanitizer which bytes of pool memory nobody may touch now. Without it these functions do nothing.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUDA_BATCHNORM_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define CUDA_BATCHNORM_ADDRESS_SANITIZER
#endif

#ifdef CUDA_BATCHNORM_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace cuda_batchnorm::cpu {

#ifdef CUDA_BATCHNORM_ADDRESS_SANITIZER
constexpr bool kPoisoning = true;
inline void poison(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
constexpr bool kPoisoning = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

}  // namespace cuda_batchnorm::cpu
