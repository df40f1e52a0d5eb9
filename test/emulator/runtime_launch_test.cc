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

void cooperativeGridFits(const Gpu& gpu, cudaStream_t stream, const Array& array, uint32_t threads, size_t shared) {
  int blocks = 0;
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fill, static_cast<int>(threads), shared));
  const uint32_t most = static_cast<uint32_t>(blocks * gpu.multiprocessors);
  OK(launch(fill, stream, array, {most, threads, shared, 1, true}));
  FAILS(cudaErrorCooperativeLaunchTooLarge, launch(fill, stream, array, {most + 1, threads, shared, 1, true}));
}

// In clusters there are fewer, because none has its place in two groups of multiprocessors.
void cooperativeClustersFit(cudaStream_t stream, const Array& array, uint32_t cluster, int expected) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = cluster;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(cluster);
  config.blockDim = dim3(512);
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  OK(cudaOccupancyMaxActiveClusters(&clusters, fill, &config));
  CHECK(clusters == expected);
  const uint32_t most = static_cast<uint32_t>(clusters) * cluster;
  OK(launch(fill, stream, array, {most, 512, 0, cluster, true}));
  FAILS(cudaErrorCooperativeLaunchTooLarge, launch(fill, stream, array, {most + cluster, 512, 0, cluster, true}));
}

void cooperativeGridsFit(const Gpu& gpu, cudaStream_t stream, const Array& array) {
  cooperativeGridFits(gpu, stream, array, 1024, 0);
  cooperativeGridFits(gpu, stream, array, 256, 0);
  cooperativeGridFits(gpu, stream, array, 64, 32 << 10);
  if (!gpu.clusters()) return;
  cooperativeClustersFit(stream, array, 2, 66);
  cooperativeClustersFit(stream, array, 4, 32);
  cooperativeClustersFit(stream, array, 8, 16);
}

KERNEL meetOnce(Array array) {
  if (cuda_batchnorm::cuda::threadIndex() == 0) {
    auto* const counter = reinterpret_cast<uint32_t*>(array.output);
    cuda_batchnorm::cuda::arriveAt(counter);
    cuda_batchnorm::cuda::awaitArrivals(counter, cuda_batchnorm::cuda::gridBlocks());
  }
  cuda_batchnorm::cuda::syncBlock();
}

// As many threads at once as a GPU has, all of which wait.
void wholeGridsMeet(const Gpu& gpu, cudaStream_t stream, const Array& array) {
  const auto blocks = static_cast<uint32_t>(gpu.multiprocessors);
  OK(cudaMemsetAsync(array.output, 0, sizeof(uint32_t), stream));
  OK(launch(meetOnce, stream, array, {blocks, 512, 0, 1, true}));
  uint32_t arrived = 0;
  OK(cudaMemcpyAsync(&arrived, array.output, sizeof arrived, cudaMemcpyDeviceToHost, stream));
  OK(cudaStreamSynchronize(stream));
  CHECK(arrived == blocks);
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
  wholeGridsMeet(gpu, stream, array);
  kernelsHaveShortNames(stream, array);
  OK(cudaStreamSynchronize(stream));
  OK(cudaStreamDestroy(stream));
  OK(cudaFree(memory));
  CHECK(lastFault().empty());
}
