#include "buffer.h"

#include <cstdint>
#include <string>
#include <utility>

#include "stream.h"

namespace cuda_batchnorm::binding {

void NativeBuffer::define(Napi::Env env) {
  NativeObject::define(env, {
                                getterNamed<&NativeBuffer::pointer>("pointer"),
                                getterNamed<&NativeBuffer::byteLength>("byteLength"),
                                methodNamed<&NativeBuffer::release>("release"),
                                methodNamed<&NativeBuffer::renew>("renew"),
                            });
}

Napi::Object NativeBuffer::allocate(Napi::Env env, std::shared_ptr<Device> device, size_t byteLength, Stream& stream) {
  const Napi::Object object = create(env, State{std::move(device), nullptr, 0, 0});
  Unwrap(object)->take(env, byteLength, stream);
  return object;
}

Napi::Object NativeBuffer::wrap(Napi::Env env, std::shared_ptr<Device> device, std::shared_ptr<void> memory, size_t byteLength) {
  return create(env, State{std::move(device), std::move(memory), byteLength, 0});
}

void* NativeBuffer::memory(const char* name) const { return share(name).get(); }

const std::shared_ptr<void>& NativeBuffer::share(const char* name) const {
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

// Making and collecting an object takes longer than all else about a small block, so that one that was released serves again.
Napi::Value NativeBuffer::renew(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const auto bytes = static_cast<size_t>(arguments.integer("byteLength"));
  if (state_.memory != nullptr) throw Error(ErrorCode::InvalidArgument, "Expected a released buffer to renew but received a live one");
  take(info.Env(), bytes, NativeStream::from(arguments.value(), "stream").on(*state_.device));
  return info.Env().Undefined();
}

void NativeBuffer::take(Napi::Env env, size_t byteLength, Stream& stream) {
  void* const block = state_.device->allocate(byteLength, &stream);
  state_.memory = std::shared_ptr<void>(block, [device = state_.device](void* released) { device->release(released); });
  state_.byteLength = state_.reported = byteLength;
  Napi::MemoryManagement::AdjustExternalMemory(env, static_cast<int64_t>(byteLength));
}

void NativeBuffer::giveBack(Napi::BasicEnv env) {
  state_.memory.reset();
  const size_t reported = std::exchange(state_.reported, 0);
  if (reported > 0) Napi::MemoryManagement::AdjustExternalMemory(env, -static_cast<int64_t>(reported));
}

}  // namespace cuda_batchnorm::binding
