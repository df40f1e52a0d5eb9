// An in-order queue in JavaScript's hands, with everything that can be put on it.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/backend.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeStream final : public NativeObject<NativeStream> {
 public:
  struct State {
    std::shared_ptr<Device> device;  // outlives the stream: members are destroyed from the last to the first
    std::shared_ptr<Stream> stream;
  };

  static constexpr const char* kName = "NativeStream";
  static constexpr auto kConstructor = &Constructors::stream;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);

  // Throws for another device's stream.
  Stream& on(const Device& device) const;

 private:
  friend class NativeObject<NativeStream>;

  Napi::Value upload(const Napi::CallbackInfo& info);
  Napi::Value download(const Napi::CallbackInfo& info);
  Napi::Value downloadSync(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  Napi::Value fill(const Napi::CallbackInfo& info);
  Napi::Value record(const Napi::CallbackInfo& info);
  Napi::Value wait(const Napi::CallbackInfo& info);
  Napi::Value synchronize(const Napi::CallbackInfo& info);
  Napi::Value synchronizeSync(const Napi::CallbackInfo& info);
  Napi::Value trainingForward(const Napi::CallbackInfo& info);
  Napi::Value inferenceForward(const Napi::CallbackInfo& info);
  Napi::Value backward(const Napi::CallbackInfo& info);

  State state_;
};

}  // namespace cuda_batchnorm::binding
