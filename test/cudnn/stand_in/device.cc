#include "device.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>

namespace cuda_batchnorm::stand_in {
namespace {

using QueueLibraryWork = decltype(&emulatorQueueLibraryWork);
using DeviceOf = decltype(&emulatorDeviceOf);

// The addon is a library of its own whose functions nobody else sees, so it is opened once more by its path.
int openAddon(dl_phdr_info* info, size_t /*bytes*/, void* result) {
  if (info->dlpi_name == nullptr || std::strstr(info->dlpi_name, "cuda_batchnorm.node") == nullptr) return 0;
  *static_cast<void**>(result) = dlopen(info->dlpi_name, RTLD_NOLOAD | RTLD_LAZY);
  return 1;
}

void* functionNamed(const char* name) {
  if (void* const function = dlsym(RTLD_DEFAULT, name)) return function;
  void* addon = nullptr;
  dl_iterate_phdr(&openAddon, &addon);
  return addon == nullptr ? nullptr : dlsym(addon, name);
}

template <class Function>
Function found(const char* name) {
  return reinterpret_cast<Function>(functionNamed(name));
}

QueueLibraryWork queueFunction() {
  static const auto function = found<QueueLibraryWork>("emulatorQueueLibraryWork");
  return function;
}

DeviceOf deviceOfFunction() {
  static const auto function = found<DeviceOf>("emulatorDeviceOf");
  return function;
}

}  // namespace

bool deviceIsThere() { return queueFunction() != nullptr && deviceOfFunction() != nullptr; }

void requireMemory(const void* memory, size_t bytes, const char* name) {
  if (memory == nullptr) throw badParameter(std::string(name) + " is null");
  if (deviceOfFunction()(memory, bytes) >= 0) return;
  throw badParameter(std::string(name) + " is not " + std::to_string(bytes) + " bytes of memory of the device");
}

void queue(cudnn::Handle handle, const char* name, const std::vector<emulator::Region>& regions, const emulator::LibraryWork& work) {
  const auto stream = static_cast<cudaStream_t>(living(handle).stream);
  const cudaError_t status = queueFunction()(stream, name, regions, work);
  if (status != cudaSuccess) throw Complaint(cudnn::kExecutionFailed, "CUDA refuses the work with error " + std::to_string(status));
}

}  // namespace cuda_batchnorm::stand_in
