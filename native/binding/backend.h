// A library that computes batch normalization on one device.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/backend.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeBackend final : public NativeObject<NativeBackend> {
 public:
  struct State {
    Device* device = nullptr;
    std::shared_ptr<Backend> backend;
  };

  static constexpr const char* kName = "NativeBackend";
  static constexpr auto kConstructor = &Constructors::backend;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);

  // Throws for another device's stream.
  Backend& on(const Device& device) const;

 private:
  friend class NativeObject<NativeBackend>;

  Napi::Value explain(const Napi::CallbackInfo& info);
  Napi::Value force(const Napi::CallbackInfo& info);
  Napi::Value maskBytes(const Napi::CallbackInfo& info);

  State state_;
};

}  // namespace cuda_batchnorm::binding
