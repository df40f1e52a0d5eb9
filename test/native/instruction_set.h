// Of tests that run for one instruction set after the other.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "../../native/core/error.h"
#include "../../native/cpu/kernels/kernels.h"

// Ends the test as skipped where the processor has not what CUDA_BATCHNORM_ISA names.
inline void skipWithoutInstructionSet() {
  try {
    cuda_batchnorm::cpu::kernels();
  } catch (const cuda_batchnorm::Error& error) {
    std::fprintf(stderr, "skipped: %s\n", error.what());
    std::exit(77);
  }
}
