#include "system.h"

#include "../../core/error.h"
#include "check.h"

namespace cuda_batchnorm::cuda {
namespace {

constexpr int kOldestMajor = 7;  // compute capability that the kernels are compiled for
constexpr int kOldestMinor = 5;

std::string versionText(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

std::string runtimeVersion() { return versionText(CUDART_VERSION); }

int driverVersion() {
  int version = 0;
  quietly(cudaDriverGetVersion(&version));
  return version;
}

// Why something does not work, for people and for programs; both empty where it does.
struct Obstacle {
  std::string reason;
  std::string cause;
};

Obstacle obstacleOf(cudaError_t error) {
  const int driver = driverVersion();
  if (error == cudaErrorNoDevice) return {"no CUDA device was found", cause::kNoDevice};
  if (error != cudaErrorInsufficientDriver)
    return {std::string("CUDA says ") + cudaGetErrorName(error) + ": " + cudaGetErrorString(error), cause::kFailed};
  if (driver == 0) return {"no NVIDIA driver was found", cause::kNoDriver};
  return {"the NVIDIA driver is too old for CUDA " + runtimeVersion() + ": it knows CUDA " + versionText(driver) + " at most",
          cause::kDriverTooOld};
}

struct Count {
  int devices = 0;
  Obstacle obstacle;  // why there are none
};

Count countDevices() {
  Count count;
  const cudaError_t error = cudaGetDeviceCount(&count.devices);
  if (error != cudaSuccess) {
    quietly(error);
    return {0, obstacleOf(error)};
  }
  if (count.devices == 0) count.obstacle = obstacleOf(cudaErrorNoDevice);
  return count;
}

std::string nameOf(int device) { return "cuda:" + std::to_string(device); }

Obstacle obstacleOf(int device) {
  int major = 0;
  int minor = 0;
  quietly(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  quietly(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  if (major > kOldestMajor || (major == kOldestMajor && minor >= kOldestMinor)) return {};
  return {nameOf(device) + " has compute capability " + std::to_string(major) + "." + std::to_string(minor) + ", and " +
              std::to_string(kOldestMajor) + "." + std::to_string(kOldestMinor) + " is the oldest that this package supports",
          cause::kDeviceTooOld};
}

Error unavailable(const std::string& name, const std::string& reason) {
  return {ErrorCode::DeviceUnavailable, "Device " + name + " is not available: " + reason};
}

}  // namespace

BackendReport report() {
  const Count count = countDevices();
  Obstacle first = count.obstacle;
  BackendReport report;
  report.name = "cuda";
  for (int device = 0; device < count.devices && !report.available; ++device) {
    const Obstacle obstacle = obstacleOf(device);
    report.available = obstacle.reason.empty();
    if (first.reason.empty()) first = obstacle;
  }
  if (!report.available) {
    report.reason = first.reason;
    report.cause = first.cause;
  }
  report.version = "CUDA " + runtimeVersion();
#ifdef CUDA_BATCHNORM_EMULATED
  report.version += ", emulated";
#else
  if (driverVersion() > 0) report.version += ", driver for CUDA " + versionText(driverVersion());
#endif
  return report;
}

std::vector<std::string> deviceNames() {
  std::vector<std::string> names;
  const int count = countDevices().devices;
  for (int device = 0; device < count; ++device) {
    if (obstacleOf(device).reason.empty()) names.push_back(nameOf(device));
  }
  return names;
}

int deviceNumber(const std::string& name) {
  const Count count = countDevices();
  if (count.devices == 0) throw unavailable(name, count.obstacle.reason);
  for (int device = 0; device < count.devices; ++device) {
    if (nameOf(device) != name) continue;
    const std::string reason = obstacleOf(device).reason;
    if (!reason.empty()) throw unavailable(name, reason);
    return device;
  }
  throw unavailable(name, "CUDA finds " + std::to_string(count.devices) + (count.devices == 1 ? " device" : " devices"));
}

}  // namespace cuda_batchnorm::cuda
