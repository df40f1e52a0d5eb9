#include "gpus.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

namespace cuda_batchnorm::emulator {
namespace {

constexpr size_t operator""_KiB(unsigned long long n) { return n << 10; }
constexpr size_t operator""_MiB(unsigned long long n) { return n << 20; }

constexpr Gpu kGpus[] = {
    {"T4", 7, 5, 40, 1024, 16, 64_KiB, 64_KiB, 0, 4_MiB, 256, 5001000, 0},
    {"A100", 8, 0, 108, 2048, 32, 163_KiB, 164_KiB, 1_KiB, 40_MiB, 5120, 1593000, 0},
    {"RTX 3090", 8, 6, 82, 1536, 16, 99_KiB, 100_KiB, 1_KiB, 6_MiB, 384, 9751000, 0},
    {"L4", 8, 9, 58, 1536, 24, 99_KiB, 100_KiB, 1_KiB, 48_MiB, 192, 6251000, 0},
    {"RTX 4090", 8, 9, 128, 1536, 24, 99_KiB, 100_KiB, 1_KiB, 72_MiB, 384, 10501000, 0},
    {"H100", 9, 0, 132, 2048, 32, 227_KiB, 228_KiB, 1_KiB, 50_MiB, 5120, 2619000, 8},
    {"H200", 9, 0, 132, 2048, 32, 227_KiB, 228_KiB, 1_KiB, 60_MiB, 6144, 3201000, 8},
    {"B200", 10, 0, 148, 2048, 32, 227_KiB, 228_KiB, 1_KiB, 126_MiB + 512_KiB, 7680, 3996000, 8},
    {"RTX 5090", 12, 0, 170, 1536, 24, 99_KiB, 100_KiB, 1_KiB, 96_MiB, 512, 14001000, 11},
};

size_t roundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

const Gpu* findGpu(const char* name) {
  const auto* const found =
      std::find_if(std::begin(kGpus), std::end(kGpus), [&](const Gpu& gpu) { return std::strcmp(gpu.name, name) == 0; });
  return found == std::end(kGpus) ? nullptr : found;
}

cudaDeviceProp propertiesOf(const Gpu& gpu, int device, size_t memoryBytes) {
  cudaDeviceProp properties = {};
  std::snprintf(properties.name, sizeof properties.name, "Emulated NVIDIA %s", gpu.name);
  properties.uuid.bytes[15] = static_cast<char>(device + 1);
  properties.totalGlobalMem = memoryBytes;
  properties.sharedMemPerBlock = kPlainSharedPerBlock;
  properties.regsPerBlock = kRegistersPerMultiprocessor;
  properties.warpSize = kWarp;
  properties.memPitch = std::numeric_limits<int>::max();
  properties.maxThreadsPerBlock = kThreadsPerBlock;
  properties.maxThreadsDim[0] = kThreadsPerBlock;
  properties.maxThreadsDim[1] = kThreadsPerBlock;
  properties.maxThreadsDim[2] = 64;
  properties.maxGridSize[0] = std::numeric_limits<int>::max();
  properties.maxGridSize[1] = 65535;
  properties.maxGridSize[2] = 65535;
  properties.totalConstMem = 64_KiB;
  properties.major = gpu.major;
  properties.minor = gpu.minor;
  properties.textureAlignment = 512;
  properties.texturePitchAlignment = 32;
  properties.surfaceAlignment = 512;
  properties.multiProcessorCount = gpu.multiprocessors;
  properties.canMapHostMemory = 1;
  properties.concurrentKernels = 1;
  properties.pciBusID = device + 1;
  properties.asyncEngineCount = 3;
  properties.unifiedAddressing = 1;
  properties.memoryBusWidth = gpu.memoryBits;
  properties.l2CacheSize = static_cast<int>(gpu.l2Bytes);
  properties.maxThreadsPerMultiProcessor = gpu.threadsPerMultiprocessor;
  properties.streamPrioritiesSupported = 1;
  properties.globalL1CacheSupported = 1;
  properties.localL1CacheSupported = 1;
  properties.sharedMemPerMultiprocessor = gpu.sharedPerMultiprocessor;
  properties.regsPerMultiprocessor = kRegistersPerMultiprocessor;
  properties.computePreemptionSupported = 1;
  properties.canUseHostPointerForRegisteredMem = 1;
  properties.cooperativeLaunch = 1;
  properties.sharedMemPerBlockOptin = gpu.sharedPerBlock;
  properties.maxBlocksPerMultiProcessor = gpu.blocksPerMultiprocessor;
  properties.reservedSharedMemPerBlock = gpu.sharedReserved;
  properties.hostRegisterSupported = 1;
  properties.memoryPoolsSupported = 1;
  properties.clusterLaunch = gpu.clusters() ? 1 : 0;
  properties.hostNumaId = -1;
  return properties;
}

int blocksPerMultiprocessor(const Gpu& gpu, uint32_t threads, size_t sharedBytes) {
  if (threads == 0 || threads > kThreadsPerBlock || sharedBytes > gpu.sharedPerBlock) return 0;
  const int whole = static_cast<int>(roundUp(threads, kWarp));
  const size_t shared = roundUp(sharedBytes + gpu.sharedReserved, gpu.major >= 8 ? 128 : 256);
  int blocks = std::min(gpu.blocksPerMultiprocessor, gpu.threadsPerMultiprocessor / whole);
  blocks = std::min(blocks, std::max(1, kRegistersPerMultiprocessor / (kRegistersPerThread * whole)));
  if (shared > 0) blocks = std::min(blocks, static_cast<int>(gpu.sharedPerMultiprocessor / shared));
  return blocks;
}

int clustersAtOnce(const Gpu& gpu, uint32_t cluster, uint32_t threads, size_t sharedBytes) {
  const int perMultiprocessor = blocksPerMultiprocessor(gpu, threads, sharedBytes);
  if (cluster == 1) return gpu.multiprocessors * perMultiprocessor;
  if (!gpu.clusters()) return 0;
  // Multiprocessors come in pairs, and groups are as equal as that allows.
  const int pairs = gpu.multiprocessors / 2;
  int clusters = 0;
  for (int group = 0; group < gpu.clusterGroups; ++group) {
    const int own = pairs / gpu.clusterGroups + (group < pairs % gpu.clusterGroups ? 1 : 0);
    clusters += 2 * own * perMultiprocessor / static_cast<int>(cluster);
  }
  return clusters;
}

}  // namespace cuda_batchnorm::emulator
