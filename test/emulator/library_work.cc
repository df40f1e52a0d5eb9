#include "library_work.h"

#include <iterator>
#include <string>

#include "memory.h"
#include "runtime/driver.h"
#include "runtime/streams.h"

namespace cuda_batchnorm::emulator {
namespace {

struct Spot {
  const DeviceMemory* memory = nullptr;
  size_t offset = 0;
};

Spot spotOf(const Driver& driver, const void* address, size_t bytes) {
  const char* const first = static_cast<const char*>(address);
  const auto after = driver.memory.upper_bound(first);
  if (after == driver.memory.begin()) return {};
  const auto& [start, memory] = *std::prev(after);
  const auto offset = static_cast<size_t>(first - start);
  if (offset > memory.bytes || bytes > memory.bytes - offset) return {};
  return {&memory, offset};
}

// A region, and what the ledger of uses knows it by.
struct Noted {
  Region region;
  uint64_t id;
  size_t offset;
};

Noted noted(const Call& call, const Region& region) {
  const Spot spot = spotOf(call.driver, region.device, region.bytes);
  if (spot.memory == nullptr) throw Failure(cudaErrorInvalidValue, "no memory of a device");
  return {region, spot.memory->id, spot.offset};
}

void note(const Turn& turn, const std::string& name, const Noted& noted) {
  Driver& state = driver();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const size_t end = noted.offset + noted.region.bytes;
  if (noted.region.read) state.ledger.used(noted.id, turn.device.index, turn.use(name, false, noted.offset, end));
  if (noted.region.write) state.ledger.used(noted.id, turn.device.index, turn.use(name, true, noted.offset, end));
}

char* bytesOf(const std::string& name, const Region& region) {
  char* const bytes = backing(region.device, region.bytes);
  if (region.read && !isInitialised(region.device, region.bytes)) {
    throw Fault(kind::kUninitialisedRead, " by " + name + ", of " + std::to_string(region.bytes) + " bytes that are not all written");
  }
  return bytes;
}

void run(const Turn& turn, const std::string& name, const std::vector<Noted>& regions, const LibraryWork& work) {
  std::vector<char*> bytes;
  bytes.reserve(regions.size());
  for (const Noted& noted : regions) {
    note(turn, name, noted);
    bytes.push_back(bytesOf(name, noted.region));
  }
  work(bytes);
  for (const Noted& noted : regions) {
    if (noted.region.write) markInitialised(noted.region.device, noted.region.bytes);
  }
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

extern "C" cudaError_t emulatorQueueLibraryWork(cudaStream_t stream, const char* name, const std::vector<Region>& regions,
                                                const LibraryWork& work) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> target = call.streamOfDevice(stream);
    std::vector<Noted> memory;
    memory.reserve(regions.size());
    for (const Region& region : regions) memory.push_back(noted(call, region));
    call.strike(FailureKind::Launch, cudaErrorLaunchOutOfResources);
    submit(call, target, {name, [=, label = std::string(name)](const Turn& turn) { run(turn, label, memory, work); }});
  });
}

extern "C" int emulatorDeviceOf(const void* memory, size_t bytes) {
  int device = -1;
  const cudaError_t status = call([&](Call& call) {
    const Spot spot = spotOf(call.driver, memory, bytes);
    if (spot.memory != nullptr) device = spot.memory->device->index;
  });
  return status == cudaSuccess ? device : -1;
}
