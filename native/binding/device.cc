#include "device.h"

#include <string>
#include <utility>

#include "arguments.h"
#include "backend.h"
#include "buffer.h"
#include "dlpack.h"
#include "graph.h"
#include "stream.h"

namespace cuda_batchnorm::binding {

void NativeDevice::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeDevice::allocate>("allocate"),
                                methodNamed<&NativeDevice::wrap>("wrap"),
                                methodNamed<&NativeDevice::adoptDLPack>("adoptDLPack"),
                                methodNamed<&NativeDevice::cudnn>("cudnn"),
                                methodNamed<&NativeDevice::createStream>("createStream"),
                                methodNamed<&NativeDevice::capture>("capture"),
                                methodNamed<&NativeDevice::memory>("memory"),
                                methodNamed<&NativeDevice::setMemoryLimit>("setMemoryLimit"),
                                methodNamed<&NativeDevice::emptyCache>("emptyCache"),
                                methodNamed<&NativeDevice::synchronize>("synchronize"),
                                methodNamed<&NativeDevice::synchronizeSync>("synchronizeSync"),
                            });
}

Napi::Object NativeDevice::create(Napi::Env env, const BackedDevice& backed) {
  const auto& device = backed.device;
  Napi::Object object = NativeObject::create(env, device);
  const auto set = [&](const char* name, const Napi::Value& value) {
    object.DefineProperty(Napi::PropertyDescriptor::Value(name, value, napi_enumerable));
  };
  set("type", Napi::String::New(env, device->type()));
  set("name", Napi::String::New(env, device->name()));
  set("description", Napi::String::New(env, device->description()));
  const std::shared_ptr<Stream> defaultStream(device, &device->defaultStream());
  set("defaultStream", NativeStream::create(env, NativeStream::State{device, defaultStream}));
  set("native", NativeBackend::create(env, NativeBackend::State{device.get(), backed.native}));
  return object;
}

Napi::Value NativeDevice::allocate(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const auto bytes = static_cast<size_t>(arguments.integer("byteLength"));
  return NativeBuffer::allocate(info.Env(), state_, bytes, NativeStream::from(arguments.value(), "stream").on(*state_));
}

Napi::Value NativeDevice::wrap(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  std::shared_ptr<void> memory(arguments.address("pointer"), [](void*) {});
  const auto bytes = static_cast<size_t>(arguments.integer("byteLength"));
  return NativeBuffer::wrap(info.Env(), state_, std::move(memory), bytes);
}

Napi::Value NativeDevice::adoptDLPack(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  auto* const managed = static_cast<DLManagedTensor*>(arguments.address("pointer"));
  const auto bytes = static_cast<size_t>(arguments.integer("byteLength"));
  return NativeBuffer::wrap(info.Env(), state_, binding::adoptDLPack(info.Env(), state_, managed), bytes);
}

Napi::Value NativeDevice::cudnn(const Napi::CallbackInfo& info) {
  const Napi::Value mode = Arguments(info).value();
  if (!mode.IsString()) throw unexpected("a mode's name", "mode", mode);
  return NativeBackend::create(info.Env(), NativeBackend::State{state_.get(), openCudnn(*state_, mode.As<Napi::String>())});
}

Napi::Value NativeDevice::createStream(const Napi::CallbackInfo& info) {
  return NativeStream::create(info.Env(), NativeStream::State{state_, state_->createStream()});
}

// What the function queues on the stream it is given becomes a graph. When it throws, nothing is left of it.
Napi::Value NativeDevice::capture(const Napi::CallbackInfo& info) {
  const Napi::Value body = Arguments(info).value();
  if (!body.IsFunction()) throw unexpected("a function", "body", body);
  const std::unique_ptr<Capture> capture = state_->capture();
  body.As<Napi::Function>().Call({NativeStream::create(info.Env(), NativeStream::State{state_, capture->stream()})});
  return NativeGraph::create(info.Env(), NativeGraph::State{state_, capture->finish()});
}

Napi::Value NativeDevice::memory(const Napi::CallbackInfo& info) {
  const MemoryUse use = state_->memory();
  Napi::Object object = Napi::Object::New(info.Env());
  object["live"] = static_cast<double>(use.live);
  object["peak"] = static_cast<double>(use.peak);
  object["reserved"] = static_cast<double>(use.reserved);
  object["limit"] = static_cast<double>(use.limit);
  return object;
}

Napi::Value NativeDevice::setMemoryLimit(const Napi::CallbackInfo& info) {
  state_->setMemoryLimit(static_cast<size_t>(Arguments(info).integer("bytes")));
  return info.Env().Undefined();
}

Napi::Value NativeDevice::emptyCache(const Napi::CallbackInfo& info) {
  state_->emptyCache();
  return info.Env().Undefined();
}

Napi::Value NativeDevice::synchronize(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env())
      .promises.promise(info.Env(), [this](Completion completion) { state_->notify(std::move(completion)); },
                        {info.This().As<Napi::Object>()});
}

Napi::Value NativeDevice::synchronizeSync(const Napi::CallbackInfo& info) {
  state_->synchronize();
  return info.Env().Undefined();
}

}  // namespace cuda_batchnorm::binding
