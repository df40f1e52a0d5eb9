#include "buffer.h"

#include <cstdint>
#include <string>
#include <utility>

namespace cuda_batchnorm::binding {

void NativeBuffer::define(Napi::Env env) {
  NativeObject::define(env, {
                                getterNamed<&NativeBuffer::pointer>("pointer"),
                                getterNamed<&NativeBuffer::byteLength>("byteLength"),
                                methodNamed<&NativeBuffer::release>("release"),
                            });
}

Napi::Object NativeBuffer::allocate(Napi::Env env, std::shared_ptr<Device> device, size_t byteLength, Stream& stream) {
  void* const block = device->allocate(byteLength, &stream);
  std::shared_ptr<void> memory(block, [device](void* released) { device->release(released); });
  const Napi::Object object = create(env, State{std::move(device), std::move(memory), byteLength, byteLength});
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(byteLength));
  return object;
}

Napi::Object NativeBuffer::wrap(Napi::Env env, std::shared_ptr<Device> device, std::shared_ptr<void> memory, size_t byteLength) {
  return create(env, State{std::move(device), std::move(memory), byteLength, 0});
}

void* NativeBuffer::memory(const char* name) const { return share(name).get(); }

std::shared_ptr<void> NativeBuffer::share(const char* name) const {
  if (state_.memory == nullptr) {
    throw Error(ErrorCode::InvalidArgument, std::string("Expected live memory for ") + name + " but received a released buffer");
  }
  return state_.memory;
}

void* NativeBuffer::memory(const char* name, size_t bytes) const {
  if (bytes > state_.byteLength) {
    throw Error(ErrorCode::InvalidArgument,
                "Expected at least " + std::to_string(bytes) + " bytes for " + name + " but received " + std::to_string(state_.byteLength));
  }
  return memory(name);
}

Napi::Value NativeBuffer::pointer(const Napi::CallbackInfo& info) {
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(reinterpret_cast<uintptr_t>(state_.memory.get())));
}

Napi::Value NativeBuffer::byteLength(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_.byteLength));
}

Napi::Value NativeBuffer::release(const Napi::CallbackInfo& info) {
  giveBack(info.Env());
  return info.Env().Undefined();
}

void NativeBuffer::giveBack(Napi::BasicEnv env) {
  state_.memory.reset();
  const size_t reported = std::exchange(state_.reported, 0);
  if (reported > 0) Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(reported));
}

}  // namespace cuda_batchnorm::binding
