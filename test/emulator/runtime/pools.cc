#include "pools.h"

#include <algorithm>

namespace cuda_batchnorm::emulator {
namespace {

constexpr uint64_t kCountedUnit = 512;
constexpr uint64_t kReservedUnit = uint64_t{2} << 20;

uint64_t roundUp(uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

std::shared_ptr<Pool> poolOf(const Call& call, cudaMemPool_t handle) {
  const auto found = call.driver.pools.find(handle);
  if (found == call.driver.pools.end()) throw Failure(cudaErrorInvalidValue, "no such pool");
  return found->second;
}

cudaMemPool_t handleOf(const std::shared_ptr<Pool>& pool) { return reinterpret_cast<cudaMemPool_t>(pool.get()); }

void forgetUnused(Device& device) {
  const auto over = [](const std::shared_ptr<Pool>& pool) { return pool->destroyed && pool->used == 0 && pool->leaving == 0; };
  device.pools.erase(std::remove_if(device.pools.begin(), device.pools.end(), over), device.pools.end());
}

uint64_t readAttribute(const Pool& pool, cudaMemPoolAttr attribute) {
  switch (attribute) {
    case cudaMemPoolAttrReleaseThreshold:
      return pool.releaseThreshold;
    case cudaMemPoolAttrReservedMemCurrent:
      return pool.reserved;
    case cudaMemPoolAttrReservedMemHigh:
      return pool.reservedHigh;
    case cudaMemPoolAttrUsedMemCurrent:
      return pool.used;
    case cudaMemPoolAttrUsedMemHigh:
      return pool.usedHigh;
    default:
      throw Failure(cudaErrorInvalidValue, "attribute");
  }
}

// Watermarks can only be set back.
void writeAttribute(Pool& pool, cudaMemPoolAttr attribute, uint64_t value) {
  if (attribute == cudaMemPoolAttrReleaseThreshold) {
    pool.releaseThreshold = value;
  } else if (attribute == cudaMemPoolAttrReservedMemHigh && value == 0) {
    pool.reservedHigh = pool.reserved;
  } else if (attribute == cudaMemPoolAttrUsedMemHigh && value == 0) {
    pool.usedHigh = pool.used;
  } else {
    throw Failure(cudaErrorInvalidValue, "attribute");
  }
}

// These are numbers of type int; the others have 64 bits.
bool isReuseAttribute(cudaMemPoolAttr attribute) {
  return attribute >= cudaMemPoolReuseFollowEventDependencies && attribute <= cudaMemPoolReuseAllowInternalDependencies;
}

int& reuseAttribute(Pool& pool, cudaMemPoolAttr attribute) { return pool.reuse[attribute - cudaMemPoolReuseFollowEventDependencies]; }

}  // namespace

size_t counted(size_t bytes) { return roundUp(bytes, kCountedUnit); }

bool Pool::take(size_t bytes) {
  const uint64_t needed = used + bytes;
  if (maxBytes != 0 && needed > maxBytes) return false;
  if (needed > reserved) {
    const uint64_t growth = needed - reserved;
    const uint64_t available = freeBytes(*device);
    if (growth > available) return false;
    reserved += std::min(roundUp(growth, kReservedUnit), available);
  }
  used = needed;
  usedHigh = std::max(usedHigh, used);
  reservedHigh = std::max(reservedHigh, reserved);
  return true;
}

void Pool::trim(uint64_t bytesToKeep) { reserved = std::min(reserved, std::max(bytesToKeep, used + leaving)); }

std::shared_ptr<Pool> makePool(Driver& driver, Device& device, size_t maxBytes) {
  auto pool = std::make_shared<Pool>();
  pool->device = &device;
  pool->maxBytes = maxBytes;
  device.pools.push_back(pool);
  driver.pools.emplace(handleOf(pool), pool);
  return pool;
}

size_t freeBytes(const Device& device) {
  uint64_t taken = device.plainBytes;
  for (const auto& pool : device.pools) taken += pool->reserved;
  return device.memoryBytes - std::min<uint64_t>(device.memoryBytes, taken);
}

void releaseIdleMemory(Device& device) {
  for (const auto& pool : device.pools) pool->trim(pool->destroyed ? 0 : pool->releaseThreshold);
  forgetUnused(device);
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaMemPoolCreate(cudaMemPool_t* memPool, const cudaMemPoolProps* poolProps) {
  return call([&](Call& call) {
    const cudaMemPoolProps& properties = required(poolProps, "poolProps");
    if (properties.allocType != cudaMemAllocationTypePinned || properties.location.type != cudaMemLocationTypeDevice) {
      throw Failure(cudaErrorInvalidValue, "pools are of pinned memory of a device");
    }
    required(memPool, "memPool") = handleOf(makePool(call.driver, call.deviceAt(properties.location.id), properties.maxSize));
  });
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t memPool) {
  return call(
      [&](Call& call) {
        const std::shared_ptr<Pool> pool = poolOf(call, memPool);
        Device& device = *pool->device;
        if (pool == device.defaultPool) throw Failure(cudaErrorInvalidValue, "the default pool stays");
        if (pool == device.currentPool) device.currentPool = device.defaultPool;
        call.driver.pools.erase(memPool);
        pool->destroyed = true;
        pool->trim(0);
        forgetUnused(device);
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t memPool, cudaMemPoolAttr attr, void* value) {
  return call([&](Call& call) {
    Pool& pool = *poolOf(call, memPool);
    required(static_cast<char*>(value), "value");
    if (isReuseAttribute(attr)) {
      reuseAttribute(pool, attr) = *static_cast<int*>(value);
    } else {
      writeAttribute(pool, attr, *static_cast<uint64_t*>(value));
    }
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t memPool, cudaMemPoolAttr attr, void* value) {
  return call([&](Call& call) {
    Pool& pool = *poolOf(call, memPool);
    required(static_cast<char*>(value), "value");
    if (isReuseAttribute(attr)) {
      *static_cast<int*>(value) = reuseAttribute(pool, attr);
    } else {
      *static_cast<uint64_t*>(value) = readAttribute(pool, attr);
    }
  });
}

cudaError_t cudaMemPoolSetAccess(cudaMemPool_t memPool, const cudaMemAccessDesc* descList, size_t count) {
  return call([&](Call& call) {
    const Pool& pool = *poolOf(call, memPool);
    for (size_t i = 0; i < count; ++i) {
      const bool own = descList[i].location.type == cudaMemLocationTypeDevice && descList[i].location.id == pool.device->index;
      if (!own || descList[i].flags != cudaMemAccessFlagsProtReadWrite) throw Failure(cudaErrorPeerAccessUnsupported, "");
    }
  });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t memPool, size_t minBytesToKeep) {
  return call([&](Call& call) { poolOf(call, memPool)->trim(minBytesToKeep); });
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* memPool, int device) {
  return call([&](Call& call) { required(memPool, "memPool") = handleOf(call.deviceAt(device).defaultPool); });
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* memPool, int device) {
  return call([&](Call& call) { required(memPool, "memPool") = handleOf(call.deviceAt(device).currentPool); });
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t memPool) {
  return call([&](Call& call) {
    Device& owner = call.deviceAt(device);
    std::shared_ptr<Pool> pool = poolOf(call, memPool);
    if (pool->device != &owner) throw Failure(cudaErrorInvalidValue, "the pool belongs to another device");
    owner.currentPool = std::move(pool);
  });
}
