#include "backend.h"

#include "arguments.h"

namespace cuda_batchnorm::binding {

void NativeBackend::define(Napi::Env env) {
  NativeObject::define(env, {
                                getterNamed<&NativeBackend::name>("name"),
                                methodNamed<&NativeBackend::maskBytes>("maskBytes"),
                            });
}

Backend& NativeBackend::on(const Device& device) const {
  if (state_.device != &device) throw Error(ErrorCode::InvalidArgument, "Expected the backend and the stream to be of one device");
  return *state_.backend;
}

Napi::Value NativeBackend::name(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), "native"); }

Napi::Value NativeBackend::maskBytes(const Napi::CallbackInfo& info) {
  const Problem problem = Arguments(info).problem();
  return Napi::Number::New(info.Env(), static_cast<double>(state_.backend->maskBytes(problem)));
}

}  // namespace cuda_batchnorm::binding
