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

Napi::Object NativeBuffer::allocate(Napi::Env env, std::shared_ptr<Device> device, size_t byteLength) {
  const Napi::Object object = create(env, State{});
  State& state = Unwrap(object)->state_;
  state.memory = device->allocate(byteLength);
  state.device = std::move(device);
  state.byteLength = byteLength;
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(byteLength));
  return object;
}

Napi::Object NativeBuffer::wrap(Napi::Env env, void* memory, size_t byteLength) { return create(env, State{nullptr, memory, byteLength}); }

void* NativeBuffer::memory(const char* name) const {
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
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(reinterpret_cast<uintptr_t>(state_.memory)));
}

Napi::Value NativeBuffer::byteLength(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_.byteLength));
}

Napi::Value NativeBuffer::release(const Napi::CallbackInfo& info) {
  giveBack(info.Env());
  return info.Env().Undefined();
}

void NativeBuffer::giveBack(Napi::BasicEnv env) {
  void* const memory = std::exchange(state_.memory, nullptr);
  if (memory == nullptr || state_.device == nullptr) return;
  state_.device->release(memory);
  state_.device.reset();
  Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(state_.byteLength));
}

}  // namespace cuda_batchnorm::binding
