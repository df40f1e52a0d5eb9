// Devices and what they say of themselves.
#include <cstdio>
#include <string>

#include "capture.h"
#include "driver.h"
#include "pools.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

int attributeOf(const Gpu& gpu, const cudaDeviceProp& properties, cudaDeviceAttr attribute) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      return properties.maxThreadsPerBlock;
    case cudaDevAttrMaxBlockDimX:
      return properties.maxThreadsDim[0];
    case cudaDevAttrMaxGridDimX:
      return properties.maxGridSize[0];
    case cudaDevAttrMaxSharedMemoryPerBlock:
      return static_cast<int>(properties.sharedMemPerBlock);
    case cudaDevAttrWarpSize:
      return properties.warpSize;
    case cudaDevAttrMaxRegistersPerBlock:
      return properties.regsPerBlock;
    case cudaDevAttrMultiProcessorCount:
      return properties.multiProcessorCount;
    case cudaDevAttrIntegrated:
      return properties.integrated;
    case cudaDevAttrCanMapHostMemory:
      return properties.canMapHostMemory;
    case cudaDevAttrComputeMode:
      return 0;
    case cudaDevAttrConcurrentKernels:
      return properties.concurrentKernels;
    case cudaDevAttrEccEnabled:
      return properties.ECCEnabled;
    case cudaDevAttrPciBusId:
      return properties.pciBusID;
    case cudaDevAttrPciDeviceId:
      return properties.pciDeviceID;
    case cudaDevAttrPciDomainId:
      return properties.pciDomainID;
    case cudaDevAttrMemoryClockRate:
      return gpu.memoryKilohertz;
    case cudaDevAttrGlobalMemoryBusWidth:
      return properties.memoryBusWidth;
    case cudaDevAttrL2CacheSize:
      return properties.l2CacheSize;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      return properties.maxThreadsPerMultiProcessor;
    case cudaDevAttrAsyncEngineCount:
      return properties.asyncEngineCount;
    case cudaDevAttrUnifiedAddressing:
      return properties.unifiedAddressing;
    case cudaDevAttrComputeCapabilityMajor:
      return properties.major;
    case cudaDevAttrComputeCapabilityMinor:
      return properties.minor;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return static_cast<int>(properties.sharedMemPerMultiprocessor);
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      return properties.regsPerMultiprocessor;
    case cudaDevAttrManagedMemory:
      return properties.managedMemory;
    case cudaDevAttrCooperativeLaunch:
      return properties.cooperativeLaunch;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return static_cast<int>(properties.sharedMemPerBlockOptin);
    case cudaDevAttrHostRegisterSupported:
      return properties.hostRegisterSupported;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      return properties.maxBlocksPerMultiProcessor;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      return static_cast<int>(properties.reservedSharedMemPerBlock);
    case cudaDevAttrMemoryPoolsSupported:
      return properties.memoryPoolsSupported;
    case cudaDevAttrClusterLaunch:
      return properties.clusterLaunch;
  }
  throw Failure(cudaErrorInvalidValue, "an attribute that the emulator does not know");
}

cudaDeviceProp properties(const Call& call, int device) {
  const Device& asked = call.deviceAt(device);
  return propertiesOf(*asked.gpu, asked.index, asked.memoryBytes);
}

// Works without a device too.
cudaError_t tell(int* version, int value) {
  if (version == nullptr) return remember(cudaErrorInvalidValue, "null");
  *version = value;
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaRuntimeGetVersion(int* runtimeVersion) { return tell(runtimeVersion, CUDART_VERSION); }

cudaError_t cudaDriverGetVersion(int* driverVersion) { return tell(driverVersion, driver().version); }

cudaError_t cudaGetDeviceCount(int* count) {
  if (count != nullptr) *count = 0;
  return call([&](Call& call) { required(count, "count") = static_cast<int>(call.driver.devices.size()); }, OnFailedDevice::Ignore);
}

cudaError_t cudaSetDevice(int device) {
  return call(
      [&](Call& call) {
        call.deviceAt(device);
        setCurrentDevice(device);
      },
      OnFailedDevice::Ignore);
}

cudaError_t cudaGetDevice(int* device) {
  return call([&](Call& call) { required(device, "device") = call.device.index; }, OnFailedDevice::Ignore);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int device) {
  return call([&](Call& call) { required(prop, "prop") = properties(call, device); }, OnFailedDevice::Ignore);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attr, int device) {
  return call([&](Call& call) { required(value, "value") = attributeOf(*call.deviceAt(device).gpu, properties(call, device), attr); },
              OnFailedDevice::Ignore);
}

cudaError_t cudaDeviceGetPCIBusId(char* pciBusId, int len, int device) {
  return call(
      [&](Call& call) {
        const cudaDeviceProp asked = properties(call, device);
        const int written = std::snprintf(&required(pciBusId, "pciBusId"), static_cast<size_t>(len), "%04x:%02x:%02x.0",
                                          static_cast<unsigned>(asked.pciDomainID), static_cast<unsigned>(asked.pciBusID),
                                          static_cast<unsigned>(asked.pciDeviceID));
        if (written >= len) throw Failure(cudaErrorInvalidValue, "len");
      },
      OnFailedDevice::Ignore);
}

cudaError_t cudaDeviceCanAccessPeer(int* canAccessPeer, int device, int peerDevice) {
  return call([&](Call& call) {
    call.deviceAt(device);
    call.deviceAt(peerDevice);
    required(canAccessPeer, "canAccessPeer") = 0;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call([&](Call& call) {
    refuseDeviceCapturing(call);
    waitForDevice(call, call.device);
    call.device.requireHealthy();
    releaseIdleMemory(call.device);
  });
}
