// Which GPUs there are, and why not more.
#pragma once

#include <string>
#include <vector>

#include "../../core/backend.h"

namespace cuda_batchnorm::cuda {

BackendReport report();

// 'cuda:0', … as far as they work.
std::vector<std::string> deviceNames();

// The device's number, as CUDA counts. Throws ErrorCode::DeviceUnavailable with the reason.
int deviceNumber(const std::string& name);

}  // namespace cuda_batchnorm::cuda
