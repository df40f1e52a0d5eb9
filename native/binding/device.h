// A device in JavaScript's hands. Its name, streams and backends are properties made with it.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/backend.h"
#include "backends.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeDevice final : public NativeObject<NativeDevice> {
 public:
  using State = std::shared_ptr<Device>;

  static constexpr const char* kName = "NativeDevice";
  static constexpr auto kConstructor = &Constructors::device;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);
  static Napi::Object create(Napi::Env env, const BackedDevice& backed);

 private:
  friend class NativeObject<NativeDevice>;

  Napi::Value allocate(const Napi::CallbackInfo& info);
  Napi::Value wrap(const Napi::CallbackInfo& info);
  Napi::Value adoptDLPack(const Napi::CallbackInfo& info);
  Napi::Value cudnn(const Napi::CallbackInfo& info);
  Napi::Value createStream(const Napi::CallbackInfo& info);
  Napi::Value capture(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value setMemoryLimit(const Napi::CallbackInfo& info);
  Napi::Value emptyCache(const Napi::CallbackInfo& info);
  Napi::Value synchronize(const Napi::CallbackInfo& info);
  Napi::Value synchronizeSync(const Napi::CallbackInfo& info);

  State state_;
};

}  // namespace cuda_batchnorm::binding
