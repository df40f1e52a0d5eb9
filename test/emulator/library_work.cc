#include "library_work.h"

#include <memory>
#include <utility>

#include "memory.h"
#include "runtime/extents.h"
#include "runtime/streams.h"

namespace cuda_batchnorm::emulator {
namespace {

struct Region {
  LibraryRegion given;
  Extent extent;

  bool read() const { return given.access != Access::Write; }
  bool written() const { return given.access != Access::Read; }
};

struct Work {
  std::string name;
  std::vector<Region> regions;
  std::function<std::string(const std::vector<char*>&)> run;
};

Region located(const Call& call, const LibraryRegion& region) {
  try {
    return {region, deviceExtent(call, static_cast<const char*>(region.memory), region.bytes)};
  } catch (const Failure& failure) {
    throw Failure(failure.code(), std::string(region.name) + ": " + failure.what());
  }
}

void note(const Turn& turn, const Work& work) {
  Driver& state = driver();
  const std::lock_guard<std::mutex> lock(state.mutex);
  for (const Region& region : work.regions) {
    const size_t first = region.extent.offset;
    state.ledger.used(region.extent.id, turn.device.index, turn.use(work.name, region.written(), first, first + region.given.bytes));
  }
}

char* addressOf(const Work& work, const Region& region) {
  const auto& [name, memory, bytes, access] = region.given;
  char* const address = backing(memory, bytes);
  if (region.read() && !isInitialised(memory, bytes)) {
    throw Fault(kind::kUninitialisedRead,
                ": " + work.name + " reads " + name + ", not all of whose " + std::to_string(bytes) + " bytes were written");
  }
  return address;
}

void perform(const Turn& turn, const Work& work) {
  note(turn, work);  // that it did not wait may be why it goes wrong, so this comes first
  std::vector<char*> addresses;
  for (const Region& region : work.regions) addresses.push_back(addressOf(work, region));
  const std::string wrong = work.run(addresses);
  if (!wrong.empty()) throw Fault(kind::kLibrary, ": " + work.name + ": " + wrong);
  for (const Region& region : work.regions) {
    if (region.written()) markInitialised(region.given.memory, region.given.bytes);
  }
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t queueLibraryWork(LibraryWork work, std::string* why) {
  const cudaError_t error = call([&](Call& call) {
    const std::shared_ptr<Stream> stream = call.streamOfDevice(work.stream);
    const auto kept = std::make_shared<Work>(Work{work.name, {}, std::move(work.run)});
    for (const LibraryRegion& region : work.regions) kept->regions.push_back(located(call, region));
    call.strike(FailureKind::Launch, cudaErrorLaunchOutOfResources);
    submit(call, stream, {kept->name, [kept](const Turn& turn) { perform(turn, *kept); }});
  });
  if (error != cudaSuccess) *why = cudaGetErrorString(error);
  return error;
}
