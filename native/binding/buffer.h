// A block of device memory in JavaScript's hands.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

#include "../core/backend.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeBuffer final : public NativeObject<NativeBuffer> {
 public:
  struct State {
    std::shared_ptr<Device> device;
    std::shared_ptr<void> memory;  // null once released
    size_t byteLength = 0;
    size_t reported = 0;  // bytes that the garbage collector was told of
  };

  static constexpr const char* kName = "NativeBuffer";
  static constexpr auto kConstructor = &Constructors::buffer;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);
  // `stream` is the one whose work will use the memory first.
  static Napi::Object allocate(Napi::Env env, std::shared_ptr<Device> device, size_t byteLength, Stream& stream);
  // Memory owned elsewhere, kept by `memory`.
  static Napi::Object wrap(Napi::Env env, std::shared_ptr<Device> device, std::shared_ptr<void> memory, size_t byteLength);

  void Finalize(Napi::BasicEnv env) override { giveBack(env); }

  // Throws when released; `name` is the argument's.
  void* memory(const char* name) const;
  // Keeps the memory though the buffer be released.
  const std::shared_ptr<void>& share(const char* name) const;
  Device& device() const { return *state_.device; }
  // As memory(name), for an access to so many bytes from the start.
  void* memory(const char* name, size_t bytes) const;

 private:
  friend class NativeObject<NativeBuffer>;

  Napi::Value pointer(const Napi::CallbackInfo& info);
  Napi::Value byteLength(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);
  Napi::Value renew(const Napi::CallbackInfo& info);
  void take(Napi::Env env, size_t byteLength, Stream& stream);
  void giveBack(Napi::BasicEnv env);

  State state_;
};

}  // namespace cuda_batchnorm::binding
