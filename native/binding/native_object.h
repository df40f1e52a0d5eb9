// What the native classes share: only native code makes them, the environment knows them from any other object, and what their
// methods throw arrives in JavaScript with its code.
//
// A class T has a struct T::State, a name T::kName and T::kConstructor, its place in Constructors.
#pragma once

#include <napi.h>

#include <string>
#include <utility>
#include <vector>

#include "../core/error.h"
#include "arguments.h"
#include "environment.h"
#include "errors.h"

namespace cuda_batchnorm::binding {

template <typename T>
class NativeObject : public Napi::ObjectWrap<T> {
 public:
  using Napi::ObjectWrap<T>::ObjectWrap;
  ~NativeObject() override { Environment::of(this->Env()).natives.erase(this); }

  template <typename State>
  static Napi::Object create(Napi::Env env, State&& state) {
    const Napi::Object object = (Environment::of(env).constructors.*T::kConstructor).New({});
    T* const native = T::Unwrap(object);
    native->state_ = std::forward<State>(state);
    Environment::of(env).natives.emplace(static_cast<NativeObject*>(native), &T::kName);
    return object;
  }

  static T& from(const Napi::Value& value, const char* argument) {
    // Another addon's object has a native one too, and an operation has so many arguments that a type tag's look-up would be felt.
    void* native = nullptr;
    if (napi_unwrap(value.Env(), value, &native) != napi_ok) throw unexpected(T::kName, argument, value);
    const auto& natives = Environment::of(value.Env()).natives;
    const auto known = natives.find(static_cast<NativeObject*>(static_cast<T*>(native)));
    if (known == natives.end() || known->second != &T::kName) throw unexpected(T::kName, argument, value);
    return *static_cast<T*>(native);
  }

 protected:
  using Method = Napi::Value (T::*)(const Napi::CallbackInfo&);
  using Property = typename Napi::ObjectWrap<T>::PropertyDescriptor;

  static void define(Napi::Env env, const std::vector<Property>& properties) {
    const Napi::Function constructor = NativeObject::DefineClass(env, T::kName, properties);
    constructor.Get("prototype").As<Napi::Object>().Delete("constructor");
    Environment::of(env).constructors.*T::kConstructor = Napi::Persistent(constructor);
  }

  template <Method method>
  static Property methodNamed(const char* name) {
    return NativeObject::InstanceMethod(name, static_cast<Method>(&NativeObject::template translated<method>));
  }

  template <Method method>
  static Property getterNamed(const char* name) {
    return NativeObject::InstanceAccessor(name, static_cast<Method>(&NativeObject::template translated<method>), nullptr);
  }

 private:
  template <Method method>
  Napi::Value translated(const Napi::CallbackInfo& info) {
    return translateErrors(info.Env(), [&] { return (static_cast<T*>(this)->*method)(info); });
  }
};

}  // namespace cuda_batchnorm::binding
