// Device memory, taken and given back at once or in the order of a stream.
#include <string>
#include <utility>

#include "../memory.h"
#include "capture.h"
#include "pools.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

[[noreturn]] void outOfMemory(const Device& device, size_t bytes) {
  throw Failure(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes asked for, " + std::to_string(freeBytes(device)) + " of " +
                                               std::to_string(device.memoryBytes) + " bytes are free");
}

void* add(Call& call, DeviceMemory memory, std::optional<Use> birth) {
  void* const address = allocateDevice(memory.bytes);
  memory.id = allocationOf(address);
  call.driver.ledger.born(memory.id, memory.device->index, std::move(birth));
  call.driver.memory.emplace(static_cast<const char*>(address), std::move(memory));
  return address;
}

void* allocatePlain(Call& call, size_t bytes) {
  Device& device = call.device;
  refuseUnsafe(call);
  call.strike(FailureKind::Allocation, cudaErrorMemoryAllocation);
  if (bytes == 0) return nullptr;
  if (bytes > device.memoryBytes || counted(bytes) > freeBytes(device)) outOfMemory(device, bytes);
  void* const address = add(call, {&device, bytes, 0, nullptr}, std::nullopt);
  device.plainBytes += counted(bytes);
  return address;
}

void* allocateInStream(Call& call, size_t bytes, std::shared_ptr<Pool> pool, Stream& stream) {
  Device& device = *pool->device;
  refuseCapturing(stream);  // the emulator's graphs allocate nothing
  call.strike(FailureKind::Allocation, cudaErrorMemoryAllocation);
  if (bytes == 0) return nullptr;
  if (bytes > device.memoryBytes || !pool->take(counted(bytes))) outOfMemory(device, bytes);
  const Order order = nextOrder(call.driver, stream);
  return add(call, {&device, bytes, 0, std::move(pool)}, Use{"cudaMallocAsync", stream.number, order, true});
}

// From now on, calls do not know this memory.
DeviceMemory takeOut(Call& call, const void* address) {
  const auto found = call.driver.memory.find(static_cast<const char*>(address));
  if (found == call.driver.memory.end()) throw Failure(cudaErrorInvalidValue, "no such allocation, or freed before");
  DeviceMemory memory = std::move(found->second);
  call.driver.memory.erase(found);
  return memory;
}

void giveBack(const DeviceMemory& memory) {
  if (memory.pool == nullptr) {
    memory.device->plainBytes -= counted(memory.bytes);
  } else {
    memory.pool->used -= counted(memory.bytes);
  }
}

// CUDA waits for all work before it frees memory of cudaMalloc; for that of pools, the program has to.
void freeNow(Call& call, void* address) {
  refuseUnsafe(call);
  const DeviceMemory memory = takeOut(call, address);
  giveBack(memory);
  if (memory.pool == nullptr) waitForDevice(call, *memory.device);
  try {
    call.driver.ledger.freed(memory.id, {"cudaFree", kNoStream, call.driver.hostOrder(), true});
  } catch (const Fault& fault) {
    call.driver.fail(*memory.device, fault);
  }
  freeDevice(address);
}

void freeInStream(Call& call, void* address, const std::shared_ptr<Stream>& stream) {
  refuseCapturing(*stream);
  const DeviceMemory memory = takeOut(call, address);
  giveBack(memory);
  if (memory.pool != nullptr) memory.pool->leaving += counted(memory.bytes);
  const auto free = [address, memory](const Turn& turn) {
    Driver& state = driver();
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (memory.pool != nullptr) memory.pool->leaving -= counted(memory.bytes);
    freeDevice(address);
    if (!turn.device.sickness) state.ledger.freed(memory.id, turn.use("cudaFreeAsync", true));
  };
  submit(call, stream, {"cudaFreeAsync", free, true});
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaMalloc(void** devPtr, size_t size) {
  return call([&](Call& call) {
    void*& address = required(devPtr, "devPtr");
    address = nullptr;
    address = allocatePlain(call, size);
  });
}

cudaError_t cudaFree(void* devPtr) {
  return call(
      [&](Call& call) {
        if (devPtr != nullptr) freeNow(call, devPtr);
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaMallocAsync(void** devPtr, size_t size, cudaStream_t hStream) {
  return call([&](Call& call) {
    void*& address = required(devPtr, "devPtr");
    address = nullptr;
    Stream& stream = *call.stream(hStream);
    address = allocateInStream(call, size, stream.device->currentPool, stream);
  });
}

cudaError_t cudaMallocFromPoolAsync(void** ptr, size_t size, cudaMemPool_t memPool, cudaStream_t stream) {
  return call([&](Call& call) {
    void*& address = required(ptr, "ptr");
    address = nullptr;
    const auto pool = call.driver.pools.find(memPool);
    if (pool == call.driver.pools.end()) throw Failure(cudaErrorInvalidValue, "no such pool");
    address = allocateInStream(call, size, pool->second, *call.stream(stream));
  });
}

cudaError_t cudaFreeAsync(void* devPtr, cudaStream_t hStream) {
  return call(
      [&](Call& call) {
        if (devPtr != nullptr) freeInStream(call, devPtr, call.stream(hStream, OnFailedDevice::Proceed));
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return call([&](Call& call) {
    required(free, "free") = freeBytes(call.device);
    required(total, "total") = call.device.memoryBytes;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* ptr) {
  return call([&](Call& call) {
    cudaPointerAttributes& answer = required(attributes, "attributes");
    answer = {};
    answer.device = -2;  // CUDA's number for no device
    const auto after = call.driver.memory.upper_bound(static_cast<const char*>(ptr));
    if (after != call.driver.memory.begin()) {
      const auto& [first, memory] = *std::prev(after);
      if (static_cast<size_t>(static_cast<const char*>(ptr) - first) < memory.bytes) {
        answer.type = cudaMemoryTypeDevice;
        answer.device = memory.device->index;
        answer.devicePointer = const_cast<void*>(ptr);
        return;
      }
    }
    if (call.driver.pinned.find(ptr, 1) != nullptr) {
      answer.type = cudaMemoryTypeHost;
      answer.device = call.device.index;
      answer.devicePointer = answer.hostPointer = const_cast<void*>(ptr);
    }
  });
}
