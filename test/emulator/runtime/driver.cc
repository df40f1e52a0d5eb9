#include "driver.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "events.h"
#include "pools.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr int kOldDriver = 12020;
constexpr uint64_t kDefaultMemory = uint64_t{2} << 30;

thread_local int threadDevice = 0;
thread_local bool inHostFunction = false;

const char* setting(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

uint64_t number(const char* name, uint64_t otherwise) {
  const char* const value = setting(name, nullptr);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

std::unique_ptr<Device> makeDevice(Driver& driver, int index, const Gpu& gpu, size_t memoryBytes) {
  auto device = std::make_unique<Device>();
  device->index = index;
  device->gpu = &gpu;
  device->memoryBytes = memoryBytes;
  device->defaultPool = device->currentPool = makePool(driver, *device, 0);
  device->defaultStream = makeStream(driver, *device, 0, cudaStreamDefault);
  return device;
}

}  // namespace

void Device::requireHealthy() const {
  if (sickness) throw Failure(sickness->code, sickness->words);
}

size_t Lines::take(const Clock& host) {
  const auto known = std::find_if(idle_.begin(), idle_.end(), [&](size_t line) {
    return times_[line] == 0 || covers(host, {line, times_[line]});
  });
  if (known == idle_.end()) {
    times_.push_back(0);
    return times_.size() - 1;
  }
  const size_t line = *known;
  idle_.erase(known);
  return line;
}

Driver::Driver() : hostLine(lines.take(host)) {
  seed = number("CUDA_BATCHNORM_EMULATED_SEED", 1);
  const char* const devicesWanted = setting("CUDA_BATCHNORM_EMULATED_DEVICES", "1");
  const char* const gpuName = setting("CUDA_BATCHNORM_EMULATED_GPU", "H200");
  const Gpu* const gpu = findGpu(gpuName);
  const auto count = static_cast<int>(std::strtol(devicesWanted, nullptr, 10));
  if (std::strcmp(devicesWanted, "driver") == 0) {
    version = 0;
    unavailable = Sickness{cudaErrorInsufficientDriver, ""};
  } else if (std::strcmp(devicesWanted, "old-driver") == 0) {
    version = kOldDriver;
    unavailable = Sickness{cudaErrorInsufficientDriver, ""};
  } else if (gpu == nullptr) {
    unavailable = Sickness{cudaErrorInitializationError, std::string("no GPU that can be emulated is named ") + gpuName};
  } else if (count <= 0) {
    unavailable = Sickness{cudaErrorNoDevice, ""};
  } else {
    const size_t memoryBytes = number("CUDA_BATCHNORM_EMULATED_MEMORY", kDefaultMemory);
    for (int index = 0; index < count; ++index) devices.push_back(makeDevice(*this, index, *gpu, memoryBytes));
  }
}

Order Driver::hostOrder() {
  const Place place = lines.next(hostLine);
  advance(host, place);
  return {place, std::make_shared<const Clock>(host), 0, {}, nullptr};
}

void Driver::fail(Device& device, const Fault& fault) {
  if (device.sickness) return;
  lastFault = fault.what();
  device.sickness = Sickness{codeOf(fault.kind()), fault.what()};
  std::fprintf(stderr, "emulator: %s\n", fault.what());
  // What is queued there is dropped, so that nothing is left to wait for.
  for (const auto& stream : living) {
    if (stream->device == &device) join(host, stream->clock);
  }
}

Driver& driver() {
  // Never destroyed: threads that nobody waits for may still ask it when the process ends.
  static Driver* const instance = new Driver;
  return *instance;
}

Device& Call::deviceAt(int index) const {
  if (index < 0 || static_cast<size_t>(index) >= driver.devices.size())
    throw Failure(cudaErrorInvalidDevice, "device " + std::to_string(index));
  return *driver.devices[static_cast<size_t>(index)];
}

std::shared_ptr<Stream> Call::stream(cudaStream_t handle, OnFailedDevice onFailedDevice) const {
  if (handle == nullptr || handle == cudaStreamLegacy) return device.defaultStream;
  const auto found = driver.streams.find(handle);
  if (found == driver.streams.end()) throw Failure(cudaErrorInvalidResourceHandle, "no such stream");
  if (onFailedDevice == OnFailedDevice::Refuse) found->second->device->requireHealthy();
  return found->second;
}

std::shared_ptr<Stream> Call::streamOfDevice(cudaStream_t handle) const {
  std::shared_ptr<Stream> found = stream(handle);
  if (found->device != &device) throw Failure(cudaErrorInvalidResourceHandle, "the stream belongs to another device than the current one");
  return found;
}

Event& Call::event(cudaEvent_t handle) const {
  const auto found = driver.events.find(handle);
  if (found == driver.events.end()) throw Failure(cudaErrorInvalidResourceHandle, "no such event");
  found->second->device->requireHealthy();
  return *found->second;
}

void Call::strike(FailureKind kind, cudaError_t code) const {
  if (driver.failures.strikes(kind)) throw Failure(code, "a failure that was asked for");
}

void Call::waitUntil(const std::function<bool()>& holds) {
  driver.progress.wait(lock, [&] { return driver.ending || holds(); });
  if (!holds()) throw Failure(cudaErrorCudartUnloading, "");
}

cudaError_t call(const std::function<void(Call&)>& body, OnFailedDevice onFailedDevice) {
  if (inHostFunction) return remember(cudaErrorNotPermitted, "called from a host function");
  Driver& state = driver();
  if (state.unavailable) return remember(state.unavailable->code, state.unavailable->words);
  Device& device = *state.devices[static_cast<size_t>(threadDevice)];
  Call entered{state, device, std::unique_lock<std::mutex>(state.mutex)};
  try {
    if (onFailedDevice == OnFailedDevice::Refuse) device.requireHealthy();
    body(entered);
    if (onFailedDevice == OnFailedDevice::Proceed) device.requireHealthy();
    return cudaSuccess;
  } catch (const Failure& failure) {
    return remember(failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    return remember(cudaErrorMemoryAllocation, "the host has no more");
  } catch (const std::exception& error) {
    return remember(cudaErrorUnknown, error.what());
  }
}

int currentDevice() { return threadDevice; }
void setCurrentDevice(int device) { threadDevice = device; }

HostFunctionScope::HostFunctionScope() { inHostFunction = true; }
HostFunctionScope::~HostFunctionScope() { inHostFunction = false; }

}  // namespace cuda_batchnorm::emulator
