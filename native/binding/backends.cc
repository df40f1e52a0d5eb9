#include "backends.h"

#include <utility>

#include "../cpu/backend.h"
#include "../cpu/device.h"

#ifdef CUDA_BATCHNORM_CUDA
#include "../cuda/backend.h"
#include "../cuda/runtime/device.h"
#include "../cuda/runtime/system.h"
#endif

// The build says whether it looked for a CUDA compiler, and what came of it.
#ifndef CUDA_BATCHNORM_CUDA_COMPILER
#define CUDA_BATCHNORM_CUDA_COMPILER "not looked for"
#endif

namespace cuda_batchnorm::binding {
namespace {

#ifdef CUDA_BATCHNORM_CUDA

BackendReport cudaReport() { return cuda::report(); }

std::vector<std::string> cudaDeviceNames() { return cuda::deviceNames(); }

// A GPU that is there may still not work: taken by another process, its memory full, of a generation this build has no kernels for.
BackedDevice openCudaDevice(const std::string& name) {
  const int number = cuda::deviceNumber(name);
  try {
    auto device = std::make_shared<cuda::Device>(number);
    auto native = std::make_shared<cuda::Backend>(*device);
    return {std::move(device), std::move(native)};
  } catch (const Error& error) {
    throw Error(ErrorCode::DeviceUnavailable, "Device " + name + " is not available: " + error.what());
  }
}

#else

BackendReport cudaReport() {
  BackendReport report;
  report.name = "cuda";
  report.reason = "this build contains no CUDA code (CUDA compiler at build time: " CUDA_BATCHNORM_CUDA_COMPILER ")";
  report.cause = cause::kNotBuilt;
  return report;
}

std::vector<std::string> cudaDeviceNames() { return {}; }

BackedDevice openCudaDevice(const std::string& name) {
  throw Error(ErrorCode::DeviceUnavailable, "Device " + name + " is not available: " + cudaReport().reason);
}

#endif

BackendReport cudnnReport() {
  BackendReport report;
  report.name = "cudnn";
  report.reason = "this version has no cuDNN backend yet";
  report.cause = cause::kNotBuilt;
  return report;
}

}  // namespace

std::vector<BackendReport> reportBackends() { return {cpu::report(), cudaReport(), cudnnReport()}; }

std::vector<std::string> deviceNames() {
  std::vector<std::string> names = cudaDeviceNames();
  names.insert(names.begin(), "cpu");
  return names;
}

BackedDevice openDevice(const std::string& name) {
  if (name == "cpu") return {std::make_shared<cpu::Device>(), std::make_shared<cpu::Backend>()};
  return openCudaDevice(name);
}

}  // namespace cuda_batchnorm::binding
