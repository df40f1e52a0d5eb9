// A place in the order of a stream, in JavaScript's hands.
#pragma once

#include <napi.h>

#include <memory>

#include "../core/backend.h"
#include "native_object.h"

namespace cuda_batchnorm::binding {

class NativeEvent final : public NativeObject<NativeEvent> {
 public:
  struct State {
    std::shared_ptr<Device> device;  // outlives the event: members are destroyed from the last to the first
    std::shared_ptr<Event> event;    // null once released
  };

  static constexpr const char* kName = "NativeEvent";
  static constexpr auto kConstructor = &Constructors::event;

  using NativeObject::NativeObject;
  static void define(Napi::Env env);

  // Throws for another device's event.
  Event& on(const Device& device) const;

 private:
  friend class NativeObject<NativeEvent>;

  Napi::Value synchronize(const Napi::CallbackInfo& info);
  Napi::Value since(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);

  State state_;
};

}  // namespace cuda_batchnorm::binding
