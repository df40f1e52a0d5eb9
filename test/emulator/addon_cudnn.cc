#include "addon_cudnn.h"

#include <dlfcn.h>

#include <string>

#include "../cudnn/stand_in/hooks.h"

namespace cuda_batchnorm::emulator {
namespace {

// A hook of the stand-in, wherever that was opened from.
template <class Function>
Function* hook(const Napi::CallbackInfo& info, const char* name) {
  void* const library = dlopen("libcudnn.so.9", RTLD_LAZY | RTLD_NOLOAD);
  void* const found = library == nullptr ? nullptr : dlsym(library, name);
  if (library != nullptr) dlclose(library);
  if (found == nullptr) throw Napi::Error::New(info.Env(), std::string("no stand-in for cuDNN was opened, to ask for ") + name);
  return reinterpret_cast<Function*>(found);
}

using Count = size_t();

Napi::Value count(const Napi::CallbackInfo& info, const char* name) {
  return Napi::Number::New(info.Env(), static_cast<double>(hook<Count>(info, name)()));
}

void failNext(const Napi::CallbackInfo& info) {
  const std::string function = info[0].As<Napi::String>().Utf8Value();
  hook<decltype(standInFailNext)>(info, "standInFailNext")(function.c_str(), info[1].As<Napi::Number>().Int32Value());
}

template <class Body>
void define(Napi::Object object, const char* name, Body body) {
  object[name] = Napi::Function::New(object.Env(), body, name);
}

}  // namespace

Napi::Object cudnnStandIn(Napi::Env env) {
  Napi::Object standIn = Napi::Object::New(env);
  define(standIn, "livingHandles", [](const Napi::CallbackInfo& info) { return count(info, "standInLivingHandles"); });
  define(standIn, "livingDescriptors", [](const Napi::CallbackInfo& info) { return count(info, "standInLivingDescriptors"); });
  define(standIn, "complaints", [](const Napi::CallbackInfo& info) { return count(info, "standInComplaints"); });
  define(standIn, "calls", [](const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), hook<decltype(standInCalls)>(info, "standInCalls")());
  });
  define(standIn, "failNext", failNext);
  define(standIn, "reset", [](const Napi::CallbackInfo& info) { hook<decltype(standInReset)>(info, "standInReset")(); });
  return standIn;
}

}  // namespace cuda_batchnorm::emulator
