// What the sanitizers have to be told about pool memory. Without them nothing here costs anything.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUDA_BATCHNORM_ADDRESS_SANITIZER
#endif
#if __has_feature(thread_sanitizer)
#define CUDA_BATCHNORM_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define CUDA_BATCHNORM_ADDRESS_SANITIZER
#endif
#if defined(__SANITIZE_THREAD__)
#define CUDA_BATCHNORM_THREAD_SANITIZER
#endif

#ifdef CUDA_BATCHNORM_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

#ifdef CUDA_BATCHNORM_THREAD_SANITIZER
extern "C" void __tsan_read_range(void* memory, unsigned long bytes);   // NOLINT(bugprone-reserved-identifier)
extern "C" void __tsan_write_range(void* memory, unsigned long bytes);  // NOLINT(bugprone-reserved-identifier)
#endif

namespace cuda_batchnorm::cpu {

// From poison() to unpoison() nobody may touch the bytes.
#ifdef CUDA_BATCHNORM_ADDRESS_SANITIZER
constexpr bool kPoisoning = true;
inline void poison(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void unpoison(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
constexpr bool kPoisoning = false;
inline void poison(const void*, size_t) {}
inline void unpoison(const void*, size_t) {}
#endif

// memcpy that ThreadSanitizer sees: as Node.js is not instrumented, it must be told to look away in the C library's functions.
inline void copyBytes(void* destination, const void* source, size_t bytes) {
#ifdef CUDA_BATCHNORM_THREAD_SANITIZER
  __tsan_read_range(const_cast<void*>(source), bytes);
  __tsan_write_range(destination, bytes);
#endif
  std::memcpy(destination, source, bytes);
}

// memset to 0, likewise.
inline void zeroBytes(void* destination, size_t bytes) {
#ifdef CUDA_BATCHNORM_THREAD_SANITIZER
  __tsan_write_range(destination, bytes);
#endif
  std::memset(destination, 0, bytes);
}

}  // namespace cuda_batchnorm::cpu
