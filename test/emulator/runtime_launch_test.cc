// Launches beyond the GPU's limits, by the errors that CUDA gives. The argument is the GPU: one with clusters, or one without.
#include <cstdlib>

#include "counters.h"
#include "runtime/gpus.h"
#include "runtime_test.h"

using namespace cuda_batchnorm::emulator;

template <class T, int n>
KERNEL touchOne(Array array) {
  if (cuda_batchnorm::cuda::threadIndex() == 0) cuda_batchnorm::cuda::storeGlobal(array.output, static_cast<float>(sizeof(T) * n));
}

namespace {

void refusesWhatDoesNotFit(cudaStream_t stream, const Array& array) {
  FAILS(cudaErrorInvalidConfiguration, launch(fill, stream, array, {1, 1025}));
  FAILS(cudaErrorInvalidConfiguration, launch(fill, stream, array, {0, 32}));
  FAILS(cudaErrorInvalidConfiguration, launch(fill, stream, array, {1, 0}));
  FAILS(cudaErrorInvalidConfiguration, launch(fill, stream, array, {0x80000000u, 32}));
  CHECK(contains(cudaGetErrorString(cudaErrorInvalidConfiguration), "2147483648, the limit is 2147483647"));
  OK(launch(fill, stream, array, {1, 1024}));
}

void sharedMemoryIsAskedFor(const Gpu& gpu, cudaStream_t stream, const Array& array) {
  const size_t most = gpu.sharedPerBlock;
  OK(launch(fill, stream, array, {1, 32, 48 << 10}));
  FAILS(cudaErrorInvalidValue, launch(fill, stream, array, {1, 32, (48 << 10) + 1}));
  FAILS(cudaErrorInvalidValue, cudaFuncSetAttribute(fill, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most) + 1));
  OK(cudaFuncSetAttribute(fill, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(most)));
  OK(launch(fill, stream, array, {1, 32, most}));
  FAILS(cudaErrorInvalidValue, launch(add, stream, array, {1, 32, most}));
  cudaFuncAttributes attributes;
  OK(cudaFuncGetAttributes(&attributes, fill));
  CHECK(attributes.maxDynamicSharedSizeBytes == static_cast<int>(most));
}

void clustersNeedAGpuThatHasThem(const Gpu& gpu, cudaStream_t stream, const Array& array) {
  if (!gpu.clusters()) {
    FAILS(cudaErrorInvalidClusterSize, launch(fill, stream, array, {4, 32, 0, 2}));
    return;
  }
  OK(launch(fill, stream, array, {8, 32, 0, 8}));
  FAILS(cudaErrorInvalidConfiguration, launch(fill, stream, array, {9, 32, 0, 8}));
  FAILS(cudaErrorInvalidClusterSize, launch(fill, stream, array, {16, 32, 0, 16}));
  OK(cudaFuncSetAttribute(fill, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  OK(launch(fill, stream, array, {16, 32, 0, 16}));
}

void cooperativeGridsFit(const Gpu& gpu, cudaStream_t stream, const Array& array) {
  int blocks = 0;
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reinterpret_cast<const void*>(&fill), 1024, 0));
  const uint32_t most = static_cast<uint32_t>(blocks * gpu.multiprocessors);
  OK(launch(fill, stream, array, {most, 1024, 0, 1, true}));
  FAILS(cudaErrorCooperativeLaunchTooLarge, launch(fill, stream, array, {most + 1, 1024, 0, 1, true}));
}

void kernelsHaveShortNames(cudaStream_t stream, const Array& array) {
  OK(cudaStreamSynchronize(stream));
  takeCounters();
  enableCounting(true);
  OK(launch(fill, stream, array));
  OK(launch(touchOne<std::vector<float>, 3>, stream, array));
  OK(cudaStreamSynchronize(stream));
  enableCounting(false);
  const std::vector<KernelCounters> counters = takeCounters();
  CHECK(counters.size() == 2);
  CHECK(counters[0].kernel == "fill" && counters[0].storeBytes == 128);
  CHECK(counters[1].kernel.rfind("touchOne<std::vector<float", 0) == 0 && contains(counters[1].kernel, ", 3>"));
}

}  // namespace

int main(int, char** argv) {
  setenv("CUDA_BATCHNORM_EMULATED_GPU", argv[1], 1);
  const Gpu& gpu = *findGpu(argv[1]);
  const cudaStream_t stream = newStream();
  float* const memory = newFloats(32);
  const Array array{memory, memory, 32};
  refusesWhatDoesNotFit(stream, array);
  sharedMemoryIsAskedFor(gpu, stream, array);
  clustersNeedAGpuThatHasThem(gpu, stream, array);
  cooperativeGridsFit(gpu, stream, array);
  kernelsHaveShortNames(stream, array);
  OK(cudaStreamSynchronize(stream));
  OK(cudaStreamDestroy(stream));
  OK(cudaFree(memory));
  CHECK(lastFault().empty());
}
