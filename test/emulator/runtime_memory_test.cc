// Device memory, pools, pinned memory, copies.
#include <cstdlib>

#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

constexpr size_t kDevice = 64 << 20;
constexpr size_t kMiB = 1 << 20;

size_t freeOnDevice() {
  size_t free = 0;
  size_t total = 0;
  OK(cudaMemGetInfo(&free, &total));
  CHECK(total == kDevice);
  return free;
}

uint64_t attribute(cudaMemPool_t pool, cudaMemPoolAttr name) {
  uint64_t value = 0;
  OK(cudaMemPoolGetAttribute(pool, name, &value));
  return value;
}

cudaMemPool_t newPool(size_t maxBytes = 0) {
  cudaMemPoolProps properties = {};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, 0};
  properties.maxSize = maxBytes;
  cudaMemPool_t pool = nullptr;
  OK(cudaMemPoolCreate(&pool, &properties));
  return pool;
}

void deviceMemoryEnds() {
  void* memory = nullptr;
  void* more = nullptr;
  OK(cudaMalloc(&memory, kDevice / 2));
  CHECK(freeOnDevice() == kDevice / 2);
  FAILS(cudaErrorMemoryAllocation, cudaMalloc(&more, kDevice / 2 + 1));
  CHECK(more == nullptr);
  CHECK(contains(cudaGetErrorString(cudaErrorMemoryAllocation), "33554433 bytes asked for, 33554432 of 67108864"));
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  OK(cudaMalloc(&more, kDevice / 2));
  CHECK(liveBytes() == kDevice);
  OK(cudaFree(memory));
  FAILS(cudaErrorInvalidValue, cudaFree(memory));
  OK(cudaFree(more));
  OK(cudaFree(nullptr));
  OK(cudaMalloc(&memory, 0));
  CHECK(memory == nullptr);
  CHECK(freeOnDevice() == kDevice && liveBytes() == 0);
}

void poolsCountTheirBytes() {
  const cudaStream_t stream = newStream();
  const cudaMemPool_t pool = newPool();
  void* memory = nullptr;
  void* more = nullptr;
  OK(cudaMallocFromPoolAsync(&memory, 3 * kMiB, pool, stream));
  CHECK(attribute(pool, cudaMemPoolAttrUsedMemCurrent) == 3 * kMiB);
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemCurrent) == 4 * kMiB);
  CHECK(freeOnDevice() == kDevice - 4 * kMiB);
  OK(cudaMallocFromPoolAsync(&more, 100, pool, stream));
  CHECK(attribute(pool, cudaMemPoolAttrUsedMemCurrent) == 3 * kMiB + 512);
  OK(cudaFreeAsync(memory, stream));
  FAILS(cudaErrorInvalidValue, cudaFreeAsync(memory, stream));
  CHECK(attribute(pool, cudaMemPoolAttrUsedMemCurrent) == 512);
  CHECK(attribute(pool, cudaMemPoolAttrUsedMemHigh) == 3 * kMiB + 512);
  OK(cudaStreamSynchronize(stream));
  // Nothing keeps it: the threshold is 0.
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemCurrent) == 512);
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemHigh) == 4 * kMiB);
  uint64_t zero = 0;
  OK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &zero));
  CHECK(attribute(pool, cudaMemPoolAttrUsedMemHigh) == 512);
  OK(cudaMemPoolDestroy(pool));
  FAILS(cudaErrorInvalidValue, cudaMemPoolTrimTo(pool, 0));
  OK(cudaFreeAsync(more, stream));  // outlives its pool
  OK(cudaStreamSynchronize(stream));
  CHECK(freeOnDevice() == kDevice && liveBytes() == 0);
  OK(cudaStreamDestroy(stream));
}

void poolsKeepUpToTheThreshold() {
  const cudaStream_t stream = newStream();
  const cudaMemPool_t pool = newPool();
  uint64_t threshold = UINT64_MAX;
  void* memory = nullptr;
  OK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  OK(cudaMallocFromPoolAsync(&memory, 8 * kMiB, pool, stream));
  Gate gate;
  gate.hold(stream);
  OK(cudaFreeAsync(memory, stream));
  OK(cudaMemPoolTrimTo(pool, 0));  // the stream is not there yet
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemCurrent) == 8 * kMiB);
  gate.open();
  OK(cudaStreamSynchronize(stream));
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemCurrent) == 8 * kMiB);
  OK(cudaMemPoolTrimTo(pool, 2 * kMiB));
  CHECK(attribute(pool, cudaMemPoolAttrReservedMemCurrent) == 2 * kMiB);
  OK(cudaMemPoolDestroy(pool));
  CHECK(freeOnDevice() == kDevice);
  OK(cudaStreamDestroy(stream));
}

void poolsEnd() {
  const cudaStream_t stream = newStream();
  const cudaMemPool_t small = newPool(kMiB);
  void* memory = nullptr;
  FAILS(cudaErrorMemoryAllocation, cudaMallocFromPoolAsync(&memory, 2 * kMiB, small, stream));
  FAILS(cudaErrorMemoryAllocation, cudaMallocAsync(&memory, kDevice + 1, stream));
  OK(cudaMallocAsync(&memory, kDevice, stream));
  void* more = nullptr;
  FAILS(cudaErrorMemoryAllocation, cudaMallocAsync(&more, 1, stream));
  Gate gate;
  gate.hold(stream);
  OK(cudaFreeAsync(memory, stream));
  OK(cudaMallocAsync(&more, kDevice, stream));  // in the stream's order the first is free
  gate.open();
  OK(cudaFreeAsync(more, stream));
  OK(cudaStreamSynchronize(stream));
  cudaMemPool_t standard = nullptr;
  OK(cudaDeviceGetDefaultMemPool(&standard, 0));
  FAILS(cudaErrorInvalidValue, cudaMemPoolDestroy(standard));
  OK(cudaMemPoolDestroy(small));
  OK(cudaStreamDestroy(stream));
}

void pinnedMemoryIsCounted() {
  void* memory = nullptr;
  OK(cudaHostAlloc(&memory, 1000, cudaHostAllocDefault));
  CHECK(pinnedBytes() == 1000);
  cudaPointerAttributes attributes;
  OK(cudaPointerGetAttributes(&attributes, static_cast<char*>(memory) + 999));
  CHECK(attributes.type == cudaMemoryTypeHost);
  OK(cudaPointerGetAttributes(&attributes, &memory));
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  OK(cudaFreeHost(memory));
  FAILS(cudaErrorInvalidValue, cudaFreeHost(memory));
  CHECK(pinnedBytes() == 0);
  float* const device = newFloats(4);
  OK(cudaPointerGetAttributes(&attributes, device + 3));
  CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 0);
  OK(cudaFree(device));
}

void copiesComeAndGo() {
  const cudaStream_t stream = newStream();
  float* const first = newFloats(4);
  float* const second = newFloats(4);
  float* pinned = nullptr;
  OK(cudaMallocHost(&pinned, 4 * sizeof(float)));
  for (int i = 0; i < 4; ++i) pinned[i] = static_cast<float>(i);
  Gate gate;
  gate.hold(stream);
  OK(cudaMemcpyAsync(first, pinned, 16, cudaMemcpyHostToDevice, stream));
  OK(cudaMemcpyAsync(second, first, 16, cudaMemcpyDeviceToDevice, stream));
  OK(cudaMemsetAsync(second, 0, 4, stream));
  OK(cudaMemcpyAsync(pinned, second, 16, cudaMemcpyDefault, stream));
  pinned[1] = 7;  // not read yet: the copy is asynchronous
  gate.open();
  OK(cudaStreamSynchronize(stream));
  CHECK(pinned[0] == 0 && pinned[1] == 7 && pinned[2] == 2 && pinned[3] == 3);
  OK(cudaFreeHost(pinned));
  OK(cudaFree(first));
  OK(cudaFree(second));
  OK(cudaStreamDestroy(stream));
}

void pageableCopiesTakeTheBytesAlong() {
  const cudaStream_t stream = newStream();
  float* const device = newFloats(1);
  Gate gate;
  gate.hold(stream);
  {
    float value = 5;
    OK(cudaMemcpyAsync(device, &value, sizeof value, cudaMemcpyHostToDevice, stream));
    value = 6;
  }
  gate.open();
  float back = 0;
  OK(cudaMemcpyAsync(&back, device, sizeof back, cudaMemcpyDeviceToHost, stream));
  CHECK(back == 5);  // done when the call returns
  OK(cudaFree(device));
  OK(cudaStreamDestroy(stream));
}

void copiesCheckTheirMemory() {
  float* const device = newFloats(4);
  float host[8] = {};
  FAILS(cudaErrorInvalidValue, cudaMemcpy(device, host, 20, cudaMemcpyHostToDevice));
  CHECK(contains(cudaGetErrorString(cudaErrorInvalidValue), "20 bytes from byte 0 of memory that has 16"));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(device + 1, host, 16, cudaMemcpyHostToDevice));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(host, device, 16, cudaMemcpyHostToDevice));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(host, host + 4, 16, cudaMemcpyDeviceToDevice));
  FAILS(cudaErrorInvalidValue, cudaMemset(host, 0, 16));
  FAILS(cudaErrorInvalidValue, cudaMemset(device, 0, 17));
  float* pinned = nullptr;
  OK(cudaMallocHost(&pinned, 8));
  FAILS(cudaErrorInvalidValue, cudaMemcpy(pinned, device, 16, cudaMemcpyDeviceToHost));
  OK(cudaFreeHost(pinned));
  OK(cudaMemcpy(host, device, 16, cudaMemcpyDeviceToHost));  // uninitialised, which a device does not notice
  OK(cudaMemcpy(device, nullptr, 0, cudaMemcpyHostToDevice));
  OK(cudaFree(device));
}

void copiesCarryWhatIsUninitialised() {
  float* const from = newFloats(4);
  float* const to = newFloats(4);
  OK(cudaMemset(from + 1, 0, 8));
  OK(cudaMemset(to, 0, 16));
  OK(cudaMemcpy(to, from, 16, cudaMemcpyDeviceToDevice));
  OK(cudaDeviceSynchronize());
  CHECK(!isInitialised(to, 4) && isInitialised(to + 1, 8) && !isInitialised(to + 3, 4));
  OK(cudaFree(from));
  OK(cudaFree(to));
}

void failsWhereATestAsks() {
  const cudaStream_t stream = newStream();
  void* memory = nullptr;
  failNth(FailureKind::Allocation, 2);
  OK(cudaMalloc(&memory, 16));
  void* more = &memory;
  FAILS(cudaErrorMemoryAllocation, cudaHostAlloc(&more, 16, 0));
  CHECK(more == nullptr);
  OK(cudaMallocAsync(&more, 16, stream));
  failNth(FailureKind::Copy, 1);
  FAILS(cudaErrorUnknown, cudaMemsetAsync(more, 0, 16, stream));
  OK(cudaMemsetAsync(more, 0, 16, stream));
  failNth(FailureKind::Launch, 1);
  FAILS(cudaErrorLaunchOutOfResources, launch(fill, stream, {nullptr, static_cast<float*>(memory), 4}));
  OK(launch(fill, stream, {nullptr, static_cast<float*>(memory), 4}));
  failNth(FailureKind::Allocation, 1);
  failNth(FailureKind::Allocation, 0);
  OK(cudaFreeAsync(more, stream));
  OK(cudaStreamSynchronize(stream));
  OK(cudaFree(memory));
  OK(cudaStreamDestroy(stream));
}

}  // namespace

int main() {
  setenv("CUDA_BATCHNORM_EMULATED_MEMORY", std::to_string(kDevice).c_str(), 1);
  deviceMemoryEnds();
  poolsCountTheirBytes();
  poolsKeepUpToTheThreshold();
  poolsEnd();
  pinnedMemoryIsCounted();
  copiesComeAndGo();
  pageableCopiesTakeTheBytesAlong();
  copiesCheckTheirMemory();
  copiesCarryWhatIsUninitialised();
  failsWhereATestAsks();
  CHECK(liveBytes() == 0 && pinnedBytes() == 0);
  CHECK(lastFault().empty());
}
