// How many clusters a GPU has places for, as the plan is told.
#include <cstdlib>

#include "../../native/cuda/kernels/transform.h"
#include "../native/check.h"
#include "runtime/gpus.h"

using namespace cuda_batchnorm::cuda;

int main() {
  setenv("CUDA_BATCHNORM_EMULATED_GPU", "H200", 1);
  const size_t sharedBytes = cuda_batchnorm::emulator::findGpu("H200")->sharedPerBlock;
  probeKernels(sharedBytes);
  // Of 132 multiprocessors, two groups of 18 and six of 16.
  CHECK(clustersAtOnce(2, sharedBytes) == 66);
  CHECK(clustersAtOnce(4, sharedBytes) == 32);
  CHECK(clustersAtOnce(5, sharedBytes) == 24);
  CHECK(clustersAtOnce(7, sharedBytes) == 16);
  CHECK(clustersAtOnce(8, sharedBytes) == 16);
  // A block with half the shared memory has another beside it.
  CHECK(clustersAtOnce(8, sharedBytes / 2 - 1024) > 16);
}
