// The functions of the addon: interface NativeAddon in lib/addon.ts.
#include <napi.h>

#include <string>

#include "arguments.h"
#include "backend.h"
#include "backends.h"
#include "buffer.h"
#include "device.h"
#include "dlpack.h"
#include "environment.h"
#include "errors.h"
#include "event.h"
#include "graph.h"
#include "stream.h"

#ifdef CUDA_BATCHNORM_EMULATED
#include "emulator/addon_emulator.h"
#endif

namespace cuda_batchnorm::binding {
namespace {

Napi::Value setErrorClass(const Napi::CallbackInfo& info) {
  const Napi::Value errorClass = Arguments(info).value();
  if (!errorClass.IsFunction()) throw unexpected("a class", "errorClass", errorClass);
  Environment::of(info.Env()).errorClass = Napi::Persistent(errorClass.As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value report(const Napi::CallbackInfo& info) {
  Napi::Array reports = Napi::Array::New(info.Env());
  for (const BackendReport& backend : reportBackends()) {
    Napi::Object object = Napi::Object::New(info.Env());
    object["name"] = backend.name;
    object["available"] = Napi::Boolean::New(info.Env(), backend.available);
    object["reason"] = backend.reason;
    object["cause"] = backend.cause;
    object["version"] = backend.version;
    object["path"] = backend.path;
    reports[reports.Length()] = object;
  }
  return reports;
}

Napi::Value names(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  for (const std::string& name : deviceNames()) names[names.Length()] = name;
  return names;
}

Napi::Value device(const Napi::CallbackInfo& info) {
  const Napi::Value name = Arguments(info).value();
  if (!name.IsString()) throw unexpected("a device's name", "name", name);
  return Environment::of(info.Env()).device(info.Env(), name.As<Napi::String>());
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value translated(const Napi::CallbackInfo& info) {
  return translateErrors(info.Env(), [&] { return function(info); });
}

}  // namespace

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  NativeBackend::define(env);
  NativeBuffer::define(env);
  NativeDevice::define(env);
  NativeEvent::define(env);
  NativeGraph::define(env);
  NativeStream::define(env);
  exports["setErrorClass"] = Napi::Function::New<&translated<&setErrorClass>>(env, "setErrorClass");
  exports["report"] = Napi::Function::New<&translated<&report>>(env, "report");
  exports["deviceNames"] = Napi::Function::New<&translated<&names>>(env, "deviceNames");
  exports["device"] = Napi::Function::New<&translated<&device>>(env, "device");
  exports["exportDLPack"] = Napi::Function::New<&translated<&exportDLPack>>(env, "exportDLPack");
  exports["inspectDLPack"] = Napi::Function::New<&translated<&inspectDLPack>>(env, "inspectDLPack");
#ifdef CUDA_BATCHNORM_EMULATED
  emulator::defineEmulator(env, exports);
#endif
  return exports;
}

}  // namespace cuda_batchnorm::binding

Napi::Object initialize(Napi::Env env, Napi::Object exports) { return cuda_batchnorm::binding::initialize(env, exports); }

NODE_API_MODULE(cuda_batchnorm, initialize)
