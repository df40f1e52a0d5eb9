// Work recorded once, in JavaScript's hands.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/backend.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeGraph final : public NativeObject<NativeGraph> {
 public:
  struct State {
    std::shared_ptr<Device> device;  // outlives the graph: members are destroyed from the last to the first
    std::unique_ptr<Graph> graph;    // null once released
  };

  static constexpr const char* kName = "NativeGraph";
  static constexpr auto kConstructor = &Constructors::graph;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);

 private:
  friend class NativeObject<NativeGraph>;

  Napi::Value launch(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);

  State state_;
};

}  // namespace cuda_batchnorm::binding
