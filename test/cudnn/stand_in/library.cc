// The library itself: its version, its statuses in words, handles.
#include <cstdlib>

#include "calls.h"
#include "emulator.h"
#include "exports.h"
#include "hooks.h"
#include "objects.h"

namespace cuda_batchnorm::cudnn {
namespace {

constexpr size_t kVersion = 92400;

void requireDevice() {
  int devices = 0;
  if (loadedEmulator() == nullptr) throw Refusal(kNotInitialized, "there is no emulated GPU in this process");
  if (loadedEmulator()->getDeviceCount(&devices) != cudaSuccess || devices == 0) throw Refusal(kNotInitialized, "there is no GPU");
}

}  // namespace

extern "C" size_t cudnnGetVersion() {
  const char* const claimed = std::getenv("CUDA_BATCHNORM_EMULATED_CUDNN_VERSION");
  return claimed == nullptr ? kVersion : std::strtoull(claimed, nullptr, 10);
}

extern "C" const char* cudnnGetErrorString(Status status) {
  switch (status) {
    case kSuccess:
      return "CUDNN_STATUS_SUCCESS";
    case kNotInitialized:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case kOverflow:
      return "CUDNN_STATUS_RUNTIME_FP_OVERFLOW";
    case kBadParameter:
      return "CUDNN_STATUS_BAD_PARAM";
    case kNotSupported:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case kInternalError:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case kExecutionFailed:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
      return "CUDNN_UNKNOWN_STATUS";
  }
}

extern "C" Status cudnnCreate(Handle* handle) {
  return entered("cudnnCreate", [&](Details&) {
    if (handle == nullptr) complain("the place for the handle is null");
    requireDevice();
    *handle = handles().make({currentDevice(), std::nullopt});
  });
}

// The real one waits for the device too, as its header says, which no capture survives.
extern "C" Status cudnnDestroy(Handle handle) {
  return entered("cudnnDestroy", [&](Details&) {
    handles().destroy(handle);
    loadedEmulator()->deviceSynchronize();
  });
}

extern "C" Status cudnnSetStream(Handle handle, CudaStream stream) {
  return entered("cudnnSetStream", [&](Details&) {
    handles().change(handle, [&](HandleStruct& object) {
      if (object.stream && *object.stream != stream) complain("the handle belongs to another stream already: each stream needs its own");
      object.stream = stream;
    });
  });
}

}  // namespace cuda_batchnorm::cudnn

size_t standInLivingHandles() { return cuda_batchnorm::cudnn::handles().living(); }
