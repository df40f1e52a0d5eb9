// Waiting that begins by spinning: waking a sleeping thread costs more than most operations on small tensors take.
#pragma once

#include <chrono>
#include <thread>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace cuda_batchnorm::cpu {

// Long enough to bridge the gap between two operations queued one after the other, too short to be seen in an idle process.
constexpr std::chrono::microseconds kSpinTime{20};

inline void relaxCore() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#else
  std::this_thread::yield();
#endif
}

// Whether `ready` became true while spinning. A clock is read now and then rather than counting: a pause takes 4 to 140 cycles.
template <typename Ready>
bool spinUntil(const Ready& ready) {
  constexpr int kPausesPerLook = 16;
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int pause = 0; pause < kPausesPerLook; ++pause) {
      if (ready()) return true;
      relaxCore();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace cuda_batchnorm::cpu
