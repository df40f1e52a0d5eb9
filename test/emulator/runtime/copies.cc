// Copies between host and devices, and memset. What a copy's memory is shows from its addresses; the direction that the program names must
// agree.
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../memory.h"
#include "capture.h"
#include "extents.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

// One end of a copy.
struct Side {
  enum class Where { Device, Pinned, Pageable };
  Where where = Where::Pageable;
  uint64_t id = 0;
  size_t offset = 0;

  bool device() const { return where == Where::Device; }
};

Side sideOf(const Call& call, const void* address, size_t bytes) {
  const char* const first = static_cast<const char*>(address);
  if (isDevicePointer(address)) {
    const Extent extent = deviceExtent(call, first, bytes);
    return {Side::Where::Device, extent.id, extent.offset};
  }
  const PinnedMemory::Block* const block = call.driver.pinned.find(address, 1);
  if (block == nullptr) return {};
  const auto offset = static_cast<size_t>(first - block->first);
  if (bytes > block->bytes - offset) beyondEnd(bytes, offset, block->bytes);
  return {Side::Where::Pinned, block->id, offset};
}

void requireDirection(cudaMemcpyKind kind, const Side& destination, const Side& source) {
  if (kind == cudaMemcpyDefault) return;
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) throw Failure(cudaErrorInvalidMemcpyDirection, "");
  const bool fromDevice = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool toDevice = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  if (source.device() != fromDevice || destination.device() != toDevice)
    throw Failure(cudaErrorInvalidValue, "the memory is not where the direction says");
}

void note(const Turn& turn, const std::string& name, const Side& side, bool write, size_t bytes) {
  if (side.where == Side::Where::Pageable) return;
  Driver& state = driver();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.ledger.used(side.id, kAnyDevice, turn.use(name, write, side.offset, side.offset + bytes));
}

void copyBytes(void* destination, const Side& to, const void* source, const Side& from, size_t bytes) {
  char* const target = to.device() ? backing(destination, bytes) : static_cast<char*>(destination);
  const char* const origin = from.device() ? backing(source, bytes) : static_cast<const char*>(source);
  std::memmove(target, origin, bytes);
  if (to.device() && from.device()) {
    carryInitialised(destination, source, bytes);
  } else if (to.device()) {
    markInitialised(destination, bytes);
  }
}

// `waits`: the call returns when the copy is done.
void copy(Call& call, const char* name, void* destination, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle,
          bool waits) {
  const std::shared_ptr<Stream> stream = call.stream(handle);
  call.strike(FailureKind::Copy, cudaErrorUnknown);
  if (bytes == 0) return;
  required(static_cast<char*>(destination), "dst");
  const Side to = sideOf(call, destination, bytes);
  const Side from = sideOf(call, source, bytes);
  requireDirection(kind, to, from);
  const bool pageable = to.where == Side::Where::Pageable || from.where == Side::Where::Pageable;
  if (pageable) refuseCapturing(*stream);
  if (waits) refuseUnsafe(call);

  // Bytes that may change or go away when the call has returned are taken along.
  std::shared_ptr<std::vector<char>> staged;
  if (from.where == Side::Where::Pageable && !waits) {
    const char* const first = static_cast<const char*>(source);
    staged = std::make_shared<std::vector<char>>(first, first + bytes);
    source = staged->data();
  }
  submit(call, stream, {name, [=, label = std::string(name), keep = staged](const Turn& turn) {
                          note(turn, label, from, false, bytes);
                          note(turn, label, to, true, bytes);
                          copyBytes(destination, to, source, from, bytes);
                        }});
  if (waits || to.where == Side::Where::Pageable) {
    waitFor(call, *stream);
    stream->device->requireHealthy();
  }
}

void fill(Call& call, const char* name, void* destination, int value, size_t bytes, cudaStream_t handle) {
  const std::shared_ptr<Stream> stream = call.stream(handle);
  call.strike(FailureKind::Copy, cudaErrorUnknown);
  if (bytes == 0) return;
  const Side to = sideOf(call, destination, bytes);
  if (!to.device()) throw Failure(cudaErrorInvalidValue, "not memory of a device");
  submit(call, stream, {name, [=, label = std::string(name)](const Turn& turn) {
                          note(turn, label, to, true, bytes);
                          std::memset(backing(destination, bytes), value, bytes);
                          markInitialised(destination, bytes);
                        }});
}

}  // namespace
}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaMemcpy(void* dst, const void* src, size_t count, cudaMemcpyKind kind) {
  return call([&](Call& call) { copy(call, "cudaMemcpy", dst, src, count, kind, nullptr, true); });
}

cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t count, cudaMemcpyKind kind, cudaStream_t stream) {
  return call([&](Call& call) { copy(call, "cudaMemcpyAsync", dst, src, count, kind, stream, false); });
}

cudaError_t cudaMemcpyPeerAsync(void* dst, int /*dstDevice*/, const void* src, int /*srcDevice*/, size_t count, cudaStream_t stream) {
  return call([&](Call& call) { copy(call, "cudaMemcpyPeerAsync", dst, src, count, cudaMemcpyDeviceToDevice, stream, false); });
}

cudaError_t cudaMemset(void* devPtr, int value, size_t count) {
  return call([&](Call& call) { fill(call, "cudaMemset", devPtr, value, count, nullptr); });
}

cudaError_t cudaMemsetAsync(void* devPtr, int value, size_t count, cudaStream_t stream) {
  return call([&](Call& call) { fill(call, "cudaMemsetAsync", devPtr, value, count, stream); });
}
