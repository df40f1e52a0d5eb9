#include "backends.h"

#include <optional>
#include <utility>

#include "../cpu/backend.h"
#include "../cpu/device.h"

#ifdef CUDA_BATCHNORM_CUDA
#include "../cuda/backend.h"
#include "../cuda/runtime/device.h"
#include "../cuda/runtime/system.h"
#include "../cudnn/backend.h"
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

// cuDNN is of use with a GPU alone.
BackendReport cudnnReport() {
  BackendReport report = cudnn::report();
  const BackendReport cuda = cudaReport();
  if (!report.available || cuda.available) return report;
  report.available = false;
  report.reason = "cuDNN needs CUDA, which does not work here: " + cuda.reason;
  report.cause = cause::kNoCuda;
  return report;
}

std::optional<cudnn::Mode> modeNamed(const std::string& name) {
  if (name.empty()) return std::nullopt;
  if (name == "spatial") return cudnn::Mode::Spatial;
  if (name == "spatial-persistent") return cudnn::Mode::SpatialPersistent;
  if (name == "per-activation") return cudnn::Mode::PerActivation;
  throw Error(ErrorCode::InvalidArgument, "Expected a mode of cuDNN but received " + name);
}

std::shared_ptr<Backend> makeCudnn(const std::string& mode) { return std::make_shared<cudnn::Backend>(modeNamed(mode)); }

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

BackendReport cudnnReport() {
  BackendReport report = cudaReport();
  report.name = "cudnn";
  return report;
}

std::shared_ptr<Backend> makeCudnn(const std::string& /*mode*/) { return nullptr; }

#endif

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

std::shared_ptr<Backend> openCudnn(const Device& device, const std::string& mode) {
  try {
    if (device.type() == std::string("cuda")) return makeCudnn(mode);
    const std::string reason = cudnnReport().reason;
    throw Error(ErrorCode::DeviceUnavailable, reason.empty() ? "cuDNN computes on a GPU, and the device is " + device.name() : reason);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::DeviceUnavailable) throw;
    throw Error(ErrorCode::DeviceUnavailable, std::string("Backend cudnn is not available: ") + error.what());
  }
}

}  // namespace cuda_batchnorm::binding
