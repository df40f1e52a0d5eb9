#include "dlpack.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "arguments.h"
#include "buffer.h"
#include "environment.h"

namespace cuda_batchnorm::binding {

// The structures of DLPack's binary interface, version 0.
struct DLTensor {
  void* data;
  int32_t deviceType;
  int32_t deviceId;
  int32_t rank;
  uint8_t typeCode;
  uint8_t typeBits;
  uint16_t typeLanes;
  int64_t* shape;
  int64_t* strides;  // in elements; null: row-major
  uint64_t byteOffset;
};

struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor* self);
};

namespace {

struct Exported {
  DLManagedTensor managed{};
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
  std::shared_ptr<void> memory;
  std::shared_ptr<Mailbox> mailbox;

  // On any thread; the memory must go back on the environment's.
  static void release(DLManagedTensor* managed) {
    auto* const exported = static_cast<Exported*>(managed->context);
    const std::shared_ptr<Mailbox> mailbox = exported->mailbox;
    mailbox->post([exported] { delete exported; });
  }
};

std::vector<int64_t> rowMajorStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Napi::Array arrayOf(Napi::Env env, const int64_t* values, int32_t count) {
  Napi::Array array = Napi::Array::New(env);
  for (int32_t i = 0; i < count; ++i) array[array.Length()] = static_cast<double>(values[i]);
  return array;
}

Napi::Value addressOf(Napi::Env env, const void* memory) {
  return Napi::BigInt::New(env, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(memory)));
}

}  // namespace

Napi::Value exportDLPack(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  auto exported = std::make_unique<Exported>();
  exported->memory = arguments.buffer("buffer").share("buffer");
  DLTensor& tensor = exported->managed.tensor;
  tensor.deviceType = static_cast<int32_t>(arguments.integer("deviceType"));
  tensor.deviceId = static_cast<int32_t>(arguments.integer("deviceId"));
  tensor.typeCode = static_cast<uint8_t>(arguments.integer("typeCode"));
  tensor.typeBits = static_cast<uint8_t>(arguments.integer("typeBits"));
  tensor.typeLanes = 1;
  exported->shape = arguments.integers("shape");
  exported->strides = rowMajorStrides(exported->shape);
  exported->mailbox = Environment::of(info.Env()).mailbox;
  tensor.data = exported->memory.get();
  tensor.rank = static_cast<int32_t>(exported->shape.size());
  tensor.shape = exported->shape.data();
  tensor.strides = exported->strides.data();
  exported->managed.context = exported.get();
  exported->managed.deleter = &Exported::release;
  return addressOf(info.Env(), &exported.release()->managed);
}

Napi::Value inspectDLPack(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto& tensor = static_cast<const DLManagedTensor*>(Arguments(info).address("pointer"))->tensor;
  Napi::Object object = Napi::Object::New(env);
  object["deviceType"] = tensor.deviceType;
  object["deviceId"] = tensor.deviceId;
  object["typeCode"] = tensor.typeCode;
  object["typeBits"] = tensor.typeBits;
  object["typeLanes"] = tensor.typeLanes;
  object["shape"] = arrayOf(env, tensor.shape, tensor.rank);
  object["strides"] = tensor.strides == nullptr ? env.Null() : arrayOf(env, tensor.strides, tensor.rank);
  object["pointer"] = addressOf(env, static_cast<const char*>(tensor.data) + tensor.byteOffset);
  return object;
}

std::shared_ptr<void> adoptDLPack(Napi::Env env, const std::shared_ptr<Device>& device, DLManagedTensor* managed) {
  const auto giveBack = [managed] {
    if (managed->deleter != nullptr) managed->deleter(managed);
  };
  const auto release = [device, giveBack, mailbox = Environment::of(env).mailbox](void*) {
    try {
      if (!mailbox->closed()) return device->notify([giveBack, mailbox](const std::exception_ptr&) { mailbox->post(giveBack); });
      // Nobody is left who could wait. A completion must not do it: where it held the last of the device, that would end on its own thread.
      device->synchronize();
    } catch (...) {  // a lost device works no more
    }
    giveBack();
  };
  return {static_cast<char*>(managed->tensor.data) + managed->tensor.byteOffset, release};
}

}  // namespace cuda_batchnorm::binding
