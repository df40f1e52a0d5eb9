// Which backends this build contains, and which of them work here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../core/backend.h"

namespace cuda_batchnorm::binding {

struct BackedDevice {
  std::shared_ptr<Device> device;
  std::shared_ptr<Backend> native;
};

std::vector<BackendReport> reportBackends();

// The CPU first.
std::vector<std::string> deviceNames();

// Throws ErrorCode::DeviceUnavailable with the reason.
BackedDevice openDevice(const std::string& name);

// `mode`: "" for whatever is best, "spatial", "spatial-persistent" or "per-activation". Throws ErrorCode::DeviceUnavailable with the
// reason.
std::shared_ptr<Backend> openCudnn(const Device& device, const std::string& mode);

}  // namespace cuda_batchnorm::binding
