#include "errors.h"

#include <mutex>
#include <set>

#include "driver.h"

namespace cuda_batchnorm::emulator {
namespace {

struct Description {
  cudaError_t code;
  const char* name;
  const char* words;
};

constexpr Description kDescriptions[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorCudartUnloading, "cudaErrorCudartUnloading", "driver shutting down"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidHostPointer, "cudaErrorInvalidHostPointer", "invalid host pointer"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported", "peer access is not supported between these two devices"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled", "peer access is already enabled"},
    {cudaErrorPeerAccessNotEnabled, "cudaErrorPeerAccessNotEnabled", "peer access has not been enabled"},
    {cudaErrorContextIsDestroyed, "cudaErrorContextIsDestroyed", "context is destroyed"},
    {cudaErrorAssert, "cudaErrorAssert", "device-side assert triggered"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered",
     "part or all of the requested memory range is already mapped"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered", "pointer does not correspond to a registered memory region"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge", "too many blocks in cooperative launch"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge", "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent", "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {cudaErrorInvalidClusterSize, "cudaErrorInvalidClusterSize", "cluster misconfiguration"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const Description* describe(cudaError_t code) {
  for (const Description& description : kDescriptions) {
    if (description.code == code) return &description;
  }
  return nullptr;
}

// cudaGetErrorString gives pointers that stay valid.
const char* kept(const std::string& text) {
  static std::mutex mutex;
  static auto* const texts = new std::set<std::string>;  // for as long as there are threads
  const std::lock_guard<std::mutex> lock(mutex);
  return texts->insert(text).first->c_str();
}

thread_local cudaError_t lastError = cudaSuccess;
thread_local cudaError_t worded = cudaSuccess;  // the error that the words are about
thread_local const char* words = "";

std::optional<Sickness> sicknessOf(const Device& device) { return device.sickness; }

std::optional<Sickness> currentSickness() {
  Driver& state = driver();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const auto index = static_cast<size_t>(currentDevice());
  return index < state.devices.size() ? sicknessOf(*state.devices[index]) : std::nullopt;
}

}  // namespace

cudaError_t remember(cudaError_t code, const std::string& text) {
  lastError = worded = code;
  words = kept(text);
  return code;
}

void forgetLastError() {
  lastError = worded = cudaSuccess;
  words = "";
}

cudaError_t codeOf(const std::string& faultKind) {
  for (const char* address : {kind::kOutOfBoundsRead, kind::kOutOfBoundsWrite, kind::kUseAfterFree, kind::kOtherDevice,
                              kind::kSharedOutOfBounds, kind::kSharedEnded}) {
    if (faultKind == address) return cudaErrorIllegalAddress;
  }
  // A device would not notice these.
  for (const char* silent : {kind::kUninitialisedRead, kind::kSharedUninitialised, kind::kSharedRace, kind::kCopyUnderWay,
                             kind::kCopyUnawaited, kind::kMissingStreamWait}) {
    if (faultKind == silent) return cudaErrorAssert;
  }
  return faultKind == kind::kMisalignedAccess ? cudaErrorMisalignedAddress : cudaErrorLaunchFailure;
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaPeekAtLastError() {
  const std::optional<Sickness> sickness = currentSickness();
  return sickness ? sickness->code : lastError;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  lastError = cudaSuccess;
  return error;
}

const char* cudaGetErrorName(cudaError_t error) {
  const Description* const description = describe(error);
  return description == nullptr ? "unrecognized error code" : description->name;
}

const char* cudaGetErrorString(cudaError_t error) {
  const Description* const description = describe(error);
  if (description == nullptr) return "unrecognized error code";
  const std::optional<Sickness> sickness = currentSickness();
  if (sickness && sickness->code == error) return kept(std::string(description->words) + ": " + sickness->words);
  if (worded == error && *words != '\0') return kept(std::string(description->words) + ": " + words);
  return description->words;
}
