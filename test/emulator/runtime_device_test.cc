// Devices: run with the GPU's name, "none", "driver" or "old-driver" as argument.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "runtime/gpus.h"
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

void failsEverywhere(cudaError_t error, int driverVersion = 13000) {
  int number = 7;
  void* memory = nullptr;
  FAILS(error, cudaGetDeviceCount(&number));
  CHECK(number == 0);
  FAILS(error, cudaSetDevice(0));
  FAILS(error, cudaMalloc(&memory, 4));
  FAILS(error, cudaDeviceSynchronize());
  CHECK(cudaGetLastError() == error);
  CHECK(cudaGetLastError() == cudaSuccess);
  OK(cudaRuntimeGetVersion(&number));
  CHECK(number == 13000);
  OK(cudaDriverGetVersion(&number));
  CHECK(number == driverVersion);
}

struct Expected {
  const char* name;
  int major, minor, multiprocessors, threads, sharedKiB;
  int bandwidth;  // of the memory, GB/s
};

constexpr Expected kExpected[] = {
    {"T4", 7, 5, 40, 1024, 64, 320},      {"A100", 8, 0, 108, 2048, 163, 2039},    {"RTX 3090", 8, 6, 82, 1536, 99, 936},
    {"L4", 8, 9, 58, 1536, 99, 300},      {"RTX 4090", 8, 9, 128, 1536, 99, 1008}, {"H100", 9, 0, 132, 2048, 227, 3352},
    {"H200", 9, 0, 132, 2048, 227, 4917}, {"B200", 10, 0, 148, 2048, 227, 7672},   {"RTX 5090", 12, 0, 170, 1536, 99, 1792},
};

void hasItsProperties(const Expected& expected) {
  cudaDeviceProp properties;
  int value = 0;
  OK(cudaGetDeviceProperties(&properties, 0));
  CHECK(properties.name == std::string("Emulated NVIDIA ") + expected.name);
  CHECK(properties.major == expected.major && properties.minor == expected.minor);
  CHECK(properties.multiProcessorCount == expected.multiprocessors);
  CHECK(properties.maxThreadsPerMultiProcessor == expected.threads);
  CHECK(properties.sharedMemPerBlockOptin == static_cast<size_t>(expected.sharedKiB) << 10);
  CHECK(properties.regsPerMultiprocessor == 65536);
  CHECK(properties.clusterLaunch == (expected.major >= 9 ? 1 : 0));
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
  CHECK(value == expected.multiprocessors);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrL2CacheSize, 0));
  CHECK(value == properties.l2CacheSize && value >= 4 << 20);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrCooperativeLaunch, 0));
  CHECK(value == 1 && properties.cooperativeLaunch == 1);
  OK(cudaDeviceGetAttribute(&value, cudaDevAttrMemoryClockRate, 0));
  const double bytesPerSecond = 2e3 * value * properties.memoryBusWidth / 8;
  CHECK(std::lround(bytesPerSecond / 1e9) == expected.bandwidth);
  CHECK(properties.sharedMemPerMultiprocessor == properties.sharedMemPerBlockOptin + properties.reservedSharedMemPerBlock);
  FAILS(cudaErrorInvalidDevice, cudaGetDeviceProperties(&properties, 1));
  FAILS(cudaErrorInvalidDevice, cudaSetDevice(-1));
  char id[16];
  OK(cudaDeviceGetPCIBusId(id, sizeof id, 0));
  CHECK(std::strcmp(id, "0000:01:00.0") == 0);
}

void fillsAMultiprocessor(const Expected& expected) {
  const Gpu& gpu = *findGpu(expected.name);
  const void* const kernel = reinterpret_cast<const void*>(&fill);
  int blocks = 0;
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 1024, 0));
  CHECK(blocks == 1);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 32, 0));
  CHECK(blocks == 16);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 256, 0));
  CHECK(blocks == 2);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 256, gpu.sharedPerBlock));
  CHECK(blocks == 1);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 256, gpu.sharedPerBlock + 1));
  CHECK(blocks == 0);
  // Shared memory is given out in units, of which a third may be no whole number.
  const size_t unit = gpu.major >= 8 ? 128 : 256;
  const size_t third = gpu.sharedPerMultiprocessor / 3;
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 128, third / unit * unit - gpu.sharedReserved));
  CHECK(blocks == 3);
  OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, 128, third - gpu.sharedReserved));
  CHECK(blocks == (third % unit == 0 ? 3 : 2));
}

}  // namespace

int main(int, char** argv) {
  const std::string name = argv[1];
  if (name == "none") {
    setenv("CUDA_BATCHNORM_EMULATED_DEVICES", "0", 1);
    failsEverywhere(cudaErrorNoDevice);
  } else if (name == "driver") {
    setenv("CUDA_BATCHNORM_EMULATED_DEVICES", "driver", 1);
    failsEverywhere(cudaErrorInsufficientDriver, 0);
  } else if (name == "old-driver") {
    setenv("CUDA_BATCHNORM_EMULATED_DEVICES", "old-driver", 1);
    failsEverywhere(cudaErrorInsufficientDriver, 12020);
  } else {
    setenv("CUDA_BATCHNORM_EMULATED_GPU", name.c_str(), 1);
    for (const Expected& expected : kExpected) {
      if (name != expected.name) continue;
      hasItsProperties(expected);
      fillsAMultiprocessor(expected);
      return 0;
    }
    failsEverywhere(cudaErrorInitializationError);
    CHECK(contains(cudaGetErrorString(cudaErrorInitializationError), name));
  }
}
