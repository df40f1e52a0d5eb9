#include "event.h"

#include <utility>

namespace cuda_batchnorm::binding {

void NativeEvent::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeEvent::synchronize>("synchronize"),
                                methodNamed<&NativeEvent::since>("since"),
                                methodNamed<&NativeEvent::release>("release"),
                            });
}

Event& NativeEvent::on(const Device& device) const {
  if (state_.event == nullptr) throw Error(ErrorCode::InvalidArgument, "Expected a live event but received a released one");
  if (state_.device.get() != &device) throw Error(ErrorCode::InvalidArgument, "Expected the event and the stream to be of one device");
  return *state_.event;
}

Napi::Value NativeEvent::synchronize(const Napi::CallbackInfo& info) {
  Event& event = on(*state_.device);
  return Environment::of(info.Env())
      .promises.promise(info.Env(), [&](Completion completion) { event.notify(std::move(completion)); }, {info.This().As<Napi::Object>()});
}

Napi::Value NativeEvent::since(const Napi::CallbackInfo& info) {
  const Event& earlier = from(Arguments(info).value(), "earlier").on(*state_.device);
  return Napi::Number::New(info.Env(), on(*state_.device).since(earlier));
}

Napi::Value NativeEvent::release(const Napi::CallbackInfo& info) {
  state_.event.reset();
  return info.Env().Undefined();
}

}  // namespace cuda_batchnorm::binding
