// Declares every function of the binary interface, so that an extern "C" definition of another type does not compile.
#pragma once

#include "../../../native/cudnn/abi.h"

namespace cuda_batchnorm::cudnn {

template <class Function>
using Typed = Function;

#define CUDA_BATCHNORM_DECLARE(name, ...) extern "C" __attribute__((visibility("default"))) Typed<__VA_ARGS__> cudnn##name;
CUDA_BATCHNORM_CUDNN_FUNCTIONS(CUDA_BATCHNORM_DECLARE)
#undef CUDA_BATCHNORM_DECLARE

}  // namespace cuda_batchnorm::cudnn
