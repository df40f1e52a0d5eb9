// Work on a stream that another library of the process does: a stand-in for one of those that compute on a GPU. The emulator runs it in the
// stream's order, in captures and graphs too, and knows what memory it reads and writes.
//
// Such a library finds queueLibraryWork by its name at run time, and must be compiled as the emulator is. It stays loaded until its work is
// done.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace cuda_batchnorm::emulator {

enum class Access { Read, Write, ReadWrite };

struct LibraryRegion {
  const char* name;  // "dx", for messages
  const void* memory;
  size_t bytes;
  Access access;
};

struct LibraryWork {
  const char* name;  // the function's, for messages
  cudaStream_t stream;
  std::vector<LibraryRegion> regions;
  // Runs once, or at each launch of a graph, with the host's addresses of the regions in their order. What it returns, unless empty, is a
  // fault of the device in these words.
  std::function<std::string(const std::vector<char*>& addresses)> run;
};

}  // namespace cuda_batchnorm::emulator

extern "C" {
// Regions that are not all within one allocation of device memory are cudaErrorInvalidValue, and so is what CUDA would refuse to launch;
// `why` has the words then. Every byte that is written is initialised afterwards.
__attribute__((visibility("default"))) cudaError_t queueLibraryWork(cuda_batchnorm::emulator::LibraryWork work, std::string* why);
}
