#include "pinned.h"

#include <cuda_runtime.h>

#include <new>
#include <utility>

#include "capture.h"
#include "driver.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr std::align_val_t kAlignment{64};

const PinnedMemory::Block& blockAt(const Call& call, const void* memory, bool registered, cudaError_t otherwise) {
  const PinnedMemory::Block* const block = call.driver.pinned.at(memory);
  if (block == nullptr || block->registered != registered) throw Failure(otherwise, "no such memory");
  return *block;
}

// Queued copies may still use the block; CUDA waits for them too.
void release(Call& call, const void* memory, bool registered, cudaError_t otherwise) {
  blockAt(call, memory, registered, otherwise);
  refuseUnsafe(call);
  waitForAllDevices(call);
  const PinnedMemory::Block& block = blockAt(call, memory, registered, otherwise);
  call.driver.ledger.forget(block.id);
  call.driver.pinned.release(block);
}

}  // namespace

const PinnedMemory::Block& PinnedMemory::add(char* first, size_t bytes, bool registered) {
  return blocks_[first] = Block{first, bytes, ++lastId_, registered};
}

void* PinnedMemory::allocate(size_t bytes) {
  char* const memory = static_cast<char*>(::operator new(bytes, kAlignment));
  add(memory, bytes, false);
  allocatedBytes_ += bytes;
  return memory;
}

bool PinnedMemory::registerBlock(void* memory, size_t bytes) {
  if (find(memory, 1) != nullptr) return false;
  add(static_cast<char*>(memory), bytes, true);
  return true;
}

const PinnedMemory::Block* PinnedMemory::at(const void* memory) const {
  const auto found = blocks_.find(static_cast<const char*>(memory));
  return found == blocks_.end() ? nullptr : &found->second;
}

void PinnedMemory::release(const Block& block) {
  char* const memory = const_cast<char*>(block.first);
  if (!block.registered) {
    allocatedBytes_ -= block.bytes;
    ::operator delete(memory, kAlignment);
  }
  blocks_.erase(memory);
}

const PinnedMemory::Block* PinnedMemory::find(const void* memory, size_t bytes) const {
  const char* const first = static_cast<const char*>(memory);
  auto after = blocks_.upper_bound(first);
  if (after == blocks_.begin()) return nullptr;
  const Block& block = (--after)->second;
  const auto offset = static_cast<size_t>(first - block.first);
  return offset < block.bytes && bytes <= block.bytes - offset ? &block : nullptr;
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaHostAlloc(void** pHost, size_t size, unsigned int /*flags*/) {
  return call([&](Call& call) {
    void*& memory = required(pHost, "pHost");
    memory = nullptr;
    refuseUnsafe(call);
    call.strike(FailureKind::Allocation, cudaErrorMemoryAllocation);
    if (size == 0) return;
    memory = call.driver.pinned.allocate(size);
    call.driver.ledger.born(call.driver.pinned.at(memory)->id, kAnyDevice, std::nullopt);
  });
}

cudaError_t cudaMallocHost(void** ptr, size_t size) { return cudaHostAlloc(ptr, size, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void* ptr) {
  if (ptr == nullptr) return cudaSuccess;
  return call([&](Call& call) { release(call, ptr, false, cudaErrorInvalidValue); }, OnFailedDevice::Proceed);
}

cudaError_t cudaHostRegister(void* ptr, size_t size, unsigned int /*flags*/) {
  return call([&](Call& call) {
    if (ptr == nullptr || size == 0) throw Failure(cudaErrorInvalidValue, "no bytes");
    refuseUnsafe(call);
    if (!call.driver.pinned.registerBlock(ptr, size)) throw Failure(cudaErrorHostMemoryAlreadyRegistered, "it is pinned already");
    call.driver.ledger.born(call.driver.pinned.at(ptr)->id, kAnyDevice, std::nullopt);
  });
}

cudaError_t cudaHostUnregister(void* ptr) {
  return call([&](Call& call) { release(call, ptr, true, cudaErrorHostMemoryNotRegistered); }, OnFailedDevice::Proceed);
}
