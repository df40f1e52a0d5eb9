// Everything device code says to the machine: where a thread is, global and shared memory, warps, barriers, clusters and grids.
// Kernels use nothing else, so that the emulator of test/emulator, which has its own version of this file, sees every access.
#pragma once

#ifdef CUDA_BATCHNORM_EMULATED
#include "emulator/primitives.h"
#else

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#define KERNEL __global__ void
#define LAUNCH_BOUNDS(...) __launch_bounds__(__VA_ARGS__)  // most threads of a block, least blocks of a processor
#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")

namespace cuda_batchnorm::cuda {

constexpr uint32_t kWarpBits = 5;
constexpr uint32_t kWarpThreads = 1u << kWarpBits;
constexpr uint32_t kWholeWarp = 0xffffffffu;

// ---- where a thread is; grids and blocks have one dimension ----

DEVICE uint32_t threadIndex() { return threadIdx.x; }
DEVICE uint32_t blockThreads() { return blockDim.x; }
DEVICE uint32_t blockIndex() { return blockIdx.x; }
DEVICE uint32_t gridBlocks() { return gridDim.x; }
DEVICE uint32_t laneIndex() { return threadIdx.x % kWarpThreads; }
DEVICE uint32_t warpIndex() { return threadIdx.x / kWarpThreads; }

// ---- global memory; T has 1, 2, 4, 8 or 16 bytes and is aligned to its size ----

// An unsigned integer or vector of as many bytes as T.
template <size_t bytes>
struct Word;
template <>
struct Word<1> {
  using Type = unsigned char;
};
template <>
struct Word<2> {
  using Type = unsigned short;
};
template <>
struct Word<4> {
  using Type = unsigned int;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<16> {
  using Type = uint4;
};
template <class T>
using WordOf = typename Word<sizeof(T)>::Type;

template <class T, class W>
DEVICE T fromWord(W word) {
  static_assert(sizeof(T) == sizeof(W));
  T value;
  memcpy(&value, &word, sizeof value);
  return value;
}
template <class T>
DEVICE WordOf<T> toWord(const T& value) {
  WordOf<T> word;
  memcpy(&word, &value, sizeof word);
  return word;
}

template <class T>
DEVICE T loadGlobal(const T* source) {
  return fromWord<T>(*reinterpret_cast<const WordOf<T>*>(source));
}
// Memory that nobody writes while the kernel runs, but for a thread that has read what it overwrites.
template <class T>
DEVICE T loadReadOnly(const T* source) {
  return fromWord<T>(__ldg(reinterpret_cast<const WordOf<T>*>(source)));
}
// Small tables that many threads read, such as coefficients of channels: the caches serve them, and traffic does not count them.
template <class T>
DEVICE T loadParameter(const T* source) {
  return loadReadOnly(source);
}
// What other blocks wrote during this kernel: past the first-level cache.
template <class T>
DEVICE T loadFresh(const T* source) {
  return fromWord<T>(__ldcg(reinterpret_cast<const WordOf<T>*>(source)));
}
// 16 bytes go by one instruction: an assignment is for the compiler to take apart, and it does not always put it together again.
template <class T>
DEVICE void storeGlobal(T* destination, const T& value) {
  const auto place = reinterpret_cast<WordOf<T>*>(destination);
  const WordOf<T> word = toWord(value);
  if constexpr (sizeof(T) == 16) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(place)), "r"(word.x), "r"(word.y), "r"(word.z),
                 "r"(word.w)
                 : "memory");
  } else {
    *place = word;
  }
}

// Adds 1 and returns what was there before. What this block wrote before its last barrier is visible to whoever sees the sum.
DEVICE uint32_t arriveAt(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(__cvta_generic_to_global(counter)) : "memory");
  return before;
}

// One thread of a block calls it, of a cooperative grid: goes on when the counter has reached `arrivals`; both wrap around. What came
// before those arrivals is visible then.
DEVICE void awaitArrivals(const uint32_t* counter, uint32_t arrivals) {
  constexpr uint32_t kPauseNanoseconds = 32;
  for (;;) {
    uint32_t arrived;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(__cvta_generic_to_global(counter)) : "memory");
    if (static_cast<int32_t>(arrived - arrivals) >= 0) break;
    __nanosleep(kPauseNanoseconds);
  }
  asm volatile("fence.acq_rel.gpu;" ::: "memory");  // once, not with each look: it empties the first-level cache
}

// ---- the block's dynamic shared memory ----

template <class T>
class SharedArray {
 public:
  DEVICE explicit SharedArray(T* first) : first_(first) {}
  DEVICE T load(uint32_t i) const { return first_[i]; }
  DEVICE void store(uint32_t i, const T& value) const { first_[i] = value; }

 private:
  template <class Copied>
  friend DEVICE void copyAsync(SharedArray<Copied> to, uint32_t i, const Copied* source);
  T* first_;
};

// The block's shared memory from this byte on, a multiple of T's alignment.
template <class T>
DEVICE SharedArray<T> dynamicShared(uint32_t byteOffset) {
  extern __shared__ __align__(16) unsigned char memory[];
  return SharedArray<T>(reinterpret_cast<T*>(memory + byteOffset));
}

// ---- copies from global to shared memory that go on by themselves, from compute capability 8.0 on ----

// Begins to bring 16 bytes to entry i of the block's own shared memory, at a multiple of 16 bytes. They are there after waitForCopies();
// until then nobody may touch them.
template <class T>
DEVICE void copyAsync(SharedArray<T> to, uint32_t i, const T* source) {
  static_assert(sizeof(T) == 16);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const auto place = static_cast<uint32_t>(__cvta_generic_to_shared(to.first_ + i));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(__cvta_generic_to_global(source)) : "memory");
#else
  to.store(i, loadFresh(source));
#endif
}
// What this thread began since the last call is a group.
DEVICE void closeCopies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Until no more than `pending` of this thread's closed groups are under way. Only this thread sees what they brought, until the next
// barrier.
template <int pending>
DEVICE void waitForCopies() {
  static_assert(pending >= 0);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
#endif
}

// ---- barriers and what warps tell each other; all threads of the block or warp take part ----

DEVICE void syncBlock() { __syncthreads(); }
DEVICE bool anyInBlock(bool condition) { return __syncthreads_or(condition) != 0; }  // a barrier too
DEVICE void syncWarp() { __syncwarp(); }
DEVICE uint32_t warpBallot(bool condition) { return __ballot_sync(kWholeWarp, condition); }

// The value of the lane whose index differs in these bits. T has a multiple of 4 bytes.
template <class T>
DEVICE T shuffleXor(const T& value, uint32_t laneMask) {
  static_assert(sizeof(T) % 4 == 0);
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof value);
  UNROLL
  for (size_t i = 0; i < sizeof(T) / 4; ++i) words[i] = __shfl_xor_sync(kWholeWarp, words[i], laneMask);
  T result;
  memcpy(&result, words, sizeof result);
  return result;
}

// ---- half types, rounded to nearest even ----

DEVICE float float16ToFloat(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
DEVICE uint16_t floatToFloat16(float value) { return __half_as_ushort(__float2half_rn(value)); }
DEVICE float bfloat16ToFloat(uint16_t bits) { return __bfloat162float(__ushort_as_bfloat16(bits)); }
DEVICE uint16_t floatToBfloat16(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }
// Two at once, the first in the low half: as two values of 16 bits they would be taken apart and put together first.
struct FloatPair {
  float low, high;
};
DEVICE FloatPair float16sToFloats(uint32_t bits) {
  const float2 both = __half22float2(fromWord<__half2>(bits));
  return {both.x, both.y};
}
DEVICE FloatPair bfloat16sToFloats(uint32_t bits) { return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)}; }
DEVICE uint32_t floatsToFloat16s(float low, float high) { return toWord(__floats2half2_rn(low, high)); }
DEVICE uint32_t floatsToBfloat16s(float low, float high) { return toWord(__floats2bfloat162_rn(low, high)); }

// ---- cooperative grids, and clusters, which begin with compute capability 9.0 ----

DEVICE void syncGrid() { cooperative_groups::this_grid().sync(); }

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
DEVICE uint32_t clusterBlocks() { return cooperative_groups::this_cluster().num_blocks(); }
DEVICE uint32_t clusterRank() { return cooperative_groups::this_cluster().block_rank(); }
DEVICE void syncCluster() { cooperative_groups::this_cluster().sync(); }
// The two halves of a last barrier: a block says that it touches the others' shared memory no more, and waits, when it has nothing else to
// do, until all have said so. Only then may it end.
DEVICE void leaveCluster() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
DEVICE void awaitLeavers() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
// The same place in another block of the cluster.
template <class T>
DEVICE SharedArray<T> dynamicSharedOf(uint32_t rank, uint32_t byteOffset) {
  extern __shared__ __align__(16) unsigned char memory[];
  return SharedArray<T>(cooperative_groups::this_cluster().map_shared_rank(reinterpret_cast<T*>(memory + byteOffset), rank));
}
#endif

}  // namespace cuda_batchnorm::cuda

#endif
