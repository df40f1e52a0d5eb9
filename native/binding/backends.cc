#include "backends.h"

#include "../cpu/backend.h"
#include "../cpu/device.h"

// The build says whether it looked for a CUDA compiler, and what came of it.
#ifndef CUDA_BATCHNORM_CUDA_COMPILER
#define CUDA_BATCHNORM_CUDA_COMPILER "not looked for"
#endif

namespace cuda_batchnorm::binding {
namespace {

BackendReport cudaReport() {
  return {"cuda", false, "this version has no CUDA backend yet (CUDA compiler at build time: " CUDA_BATCHNORM_CUDA_COMPILER ")", ""};
}

BackendReport cudnnReport() { return {"cudnn", false, "cuDNN computes on CUDA devices, and this build contains no CUDA code", ""}; }

}  // namespace

std::vector<BackendReport> reportBackends() { return {cpu::report(), cudaReport(), cudnnReport()}; }

std::vector<std::string> deviceNames() { return {"cpu"}; }

BackedDevice openDevice(const std::string& name) {
  if (name == "cpu") return {std::make_shared<cpu::Device>(), std::make_shared<cpu::Backend>()};
  const std::string reason = name.rfind("cuda", 0) == 0 ? cudaReport().reason : "there is no device of this name";
  throw Error(ErrorCode::DeviceUnavailable, "Expected an available device but received " + name + ": " + reason);
}

}  // namespace cuda_batchnorm::binding
