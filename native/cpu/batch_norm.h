// The three operations on the CPU: host code that splits a problem into tasks and hands them to the SIMD kernels.
#pragma once

#include <cstddef>

#include "../core/backend.h"
#include "thread_pool.h"

namespace cuda_batchnorm::cpu {

// Name of the instruction set the kernels were chosen for: "baseline", "avx2", "avx512", "neon".
const char* instructionSet();

// Scratch memory a call needs, 64-byte aligned, taken from the device's pool when the call is queued.
size_t workspaceBytes(const TrainingForward& call);
size_t workspaceBytes(const InferenceForward& call);
size_t workspaceBytes(const Backward& call);

void run(ThreadPool& threads, const TrainingForward& call, void* workspace);
void run(ThreadPool& threads, const InferenceForward& call, void* workspace);
void run(ThreadPool& threads, const Backward& call, void* workspace);

// Element conversion between any two dtypes, rounding once.
void convert(ThreadPool& threads, void* destination, DType to, const void* source, DType from, int64_t count);

}  // namespace cuda_batchnorm::cpu
