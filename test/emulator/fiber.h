// Stacks to run on, and the change from one to another within a host thread.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#if !defined(__x86_64__) || defined(CUDA_BATCHNORM_EMULATOR_UCONTEXT)
#define CUDA_BATCHNORM_UCONTEXT
#include <ucontext.h>
#endif

namespace cuda_batchnorm::emulator {

class Fiber {
 public:
  // The host thread itself, as it is when it first changes to another fiber.
  Fiber() = default;
  // Begins in `body` when first changed to; `body` never returns. `threadState` is ThreadSanitizer's.
  Fiber(void (*body)(), char* stack, size_t bytes, void* threadState);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Comes back when something changes to `from`.
  static void change(Fiber& from, Fiber& to);

 private:
  static void begin();
  void arrive(Fiber& from);

  void (*body_)() = nullptr;  // nullptr: the host thread
  const void* stack_ = nullptr;
  size_t bytes_ = 0;
#ifdef CUDA_BATCHNORM_UCONTEXT
  ucontext_t context_ = {};
#else
  void* stackPointer_ = nullptr;
#endif
  void* threadState_ = nullptr;
  void* fakeStack_ = nullptr;  // AddressSanitizer's
};

// Fibers that wait for work; all run the same body.
class FiberPool {
 public:
  explicit FiberPool(void (*body)()) : body_(body) {}
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  // The one given back last, whose stack is in the cache.
  Fiber* take();
  void give(Fiber* fiber) { idle_.push_back(fiber); }

 private:
  struct Slab {
    char* stacks;
    void* threadState;  // for all of them, because ThreadSanitizer has only 8000, and is slow to change
  };
  void grow();

  void (*body_)();
  std::vector<Slab> slabs_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

}  // namespace cuda_batchnorm::emulator
