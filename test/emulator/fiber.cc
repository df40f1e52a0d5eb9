#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define CUDA_BATCHNORM_SANITIZED_STACKS
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#define CUDA_BATCHNORM_SANITIZED_STACKS
#include <sanitizer/tsan_interface.h>
#endif

namespace cuda_batchnorm::emulator {

namespace {

#ifdef CUDA_BATCHNORM_SANITIZED_STACKS
constexpr size_t kStackBytes = 256 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif
constexpr size_t kGuardBytes = 4096;
constexpr size_t kStackStride = kGuardBytes + kStackBytes;
// Stacks begin at different offsets, or the same place in every one of them would fall into the same few lines of the cache.
constexpr size_t kColours = 32;
constexpr size_t kColourBytes = 128;
constexpr size_t kSlabStacks = 1024;
constexpr size_t kSlabBytes = kSlabStacks * kStackStride;
// Not every stack has a guard, because each is two more of the mappings that Linux grants a process, and a cooperative grid has 67584
// threads. A kernel that needs too much stack needs it in all threads of a warp.
constexpr size_t kGuardEvery = 32;

// The change that is being made.
__thread Fiber* changingFrom __attribute__((tls_model("initial-exec"))) = nullptr;
__thread Fiber* changingTo __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

// ---- the machine's part ----

#ifndef CUDA_BATCHNORM_UCONTEXT

// swapcontext would make a system call. What the ABI has a function preserve goes to the stack; the other stack has the same below its top.
extern "C" void cudaBatchnormChangeStack(void** from, void* to);
asm(R"(
  .text
  .p2align 4
  .hidden cudaBatchnormChangeStack
  .globl cudaBatchnormChangeStack
  .type cudaBatchnormChangeStack, @function
cudaBatchnormChangeStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
  .size cudaBatchnormChangeStack, . - cudaBatchnormChangeStack
)");

#endif

Fiber::Fiber(void (*body)(), char* stack, size_t bytes, void* threadState)
    : body_(body), stack_(stack), bytes_(bytes), threadState_(threadState) {
#ifdef CUDA_BATCHNORM_UCONTEXT
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack;
  context_.uc_stack.ss_size = bytes;
  makecontext(&context_, begin, 0);
#else
  // Six registers, the address of begin(), and none for it to return to: so a call would leave the stack.
  void** frame = reinterpret_cast<void**>(stack + bytes / 16 * 16) - 8;
  std::memset(frame, 0, 8 * sizeof(void*));
  frame[6] = reinterpret_cast<void*>(&Fiber::begin);
  stackPointer_ = frame;
#endif
}

void Fiber::change(Fiber& from, Fiber& to) {
  changingFrom = &from;
  changingTo = &to;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from.fakeStack_, to.stack_, to.bytes_);
#endif
#ifdef __SANITIZE_THREAD__
  if (from.body_ == nullptr) from.threadState_ = __tsan_get_current_fiber();
  if (to.threadState_ != from.threadState_) __tsan_switch_to_fiber(to.threadState_, 0);
#endif
#ifdef CUDA_BATCHNORM_UCONTEXT
  swapcontext(&from.context_, &to.context_);
#else
  cudaBatchnormChangeStack(&from.stackPointer_, to.stackPointer_);
#endif
  from.arrive(*changingFrom);
}

void Fiber::begin() {
  Fiber& self = *changingTo;
  self.arrive(*changingFrom);
  self.body_();
}

void Fiber::arrive(Fiber& from) {
#ifdef __SANITIZE_ADDRESS__
  const void* stack = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fakeStack_, &stack, &bytes);
  if (from.body_ == nullptr) {
    from.stack_ = stack;
    from.bytes_ = bytes;
  }
#else
  (void)from;
#endif
}

FiberPool::~FiberPool() {
  for (const Slab& slab : slabs_) {
#if defined(__SANITIZE_ADDRESS__)
    // Whoever gets these addresses next must not meet the marks of the frames that were here.
    ASAN_UNPOISON_MEMORY_REGION(slab.stacks, kSlabBytes);
#endif
    munmap(slab.stacks, kSlabBytes);
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(slab.threadState);
#endif
  }
}

Fiber* FiberPool::take() {
  if (idle_.empty()) grow();
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return fiber;
}

void FiberPool::grow() {
  void* memory = mmap(nullptr, kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  Slab slab = {static_cast<char*>(memory), nullptr};
#ifdef __SANITIZE_THREAD__
  slab.threadState = __tsan_create_fiber(0);
#endif
  slabs_.push_back(slab);
  for (size_t i = 0; i < kSlabStacks; ++i) {
    char* const guard = slab.stacks + i * kStackStride;
    if (i % kGuardEvery == 0 && mprotect(guard, kGuardBytes, PROT_NONE) != 0) throw std::bad_alloc();
    fibers_.push_back(std::make_unique<Fiber>(body_, guard + kGuardBytes, kStackBytes - i % kColours * kColourBytes, slab.threadState));
    idle_.push_back(fibers_.back().get());
  }
}

}  // namespace cuda_batchnorm::emulator
