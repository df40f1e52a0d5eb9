// Work that another library than the addon puts on a stream of the emulated device, as cuDNN does with its kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace cuda_batchnorm::emulator {

// Device memory that the work uses.
struct Region {
  const void* device;
  size_t bytes;
  bool read;
  bool write;
};

// Does the work: gets the bytes of each region, in their order, where the host can use them. Throws Fault.
using LibraryWork = std::function<void(const std::vector<char*>& bytes)>;

}  // namespace cuda_batchnorm::emulator

// Queues it, or records it where the stream captures. The library finds this function by its name.
extern "C" cudaError_t emulatorQueueLibraryWork(cudaStream_t stream, const char* name,
                                                const std::vector<cuda_batchnorm::emulator::Region>& regions,
                                                const cuda_batchnorm::emulator::LibraryWork& work);

// The number of the device that the address lies in with so many bytes allocated behind it; -1 where there is none.
extern "C" int emulatorDeviceOf(const void* memory, size_t bytes);
