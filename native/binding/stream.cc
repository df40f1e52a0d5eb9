#include "stream.h"

#include <utility>

#include "arguments.h"
#include "backend.h"
#include "buffer.h"

namespace cuda_batchnorm::binding {
namespace {

// A download's arguments in their order.
struct Download {
  HostMemory host;
  DType to;
  const void* source;
  DType from;
  int64_t count;

  explicit Download(Arguments arguments)
      : host(arguments.host("destination")), to(arguments.dtype("to")), count(static_cast<int64_t>(host.byteLength / sizeOf(to))) {
    const NativeBuffer& buffer = arguments.buffer("source");
    from = arguments.dtype("from");
    source = buffer.memory("source", static_cast<size_t>(count) * sizeOf(from));
  }

  void queueOn(Stream& stream) const { stream.download(host.data, to, source, from, count); }
};

}  // namespace

void NativeStream::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeStream::upload>("upload"),
                                methodNamed<&NativeStream::download>("download"),
                                methodNamed<&NativeStream::downloadSync>("downloadSync"),
                                methodNamed<&NativeStream::copy>("copy"),
                                methodNamed<&NativeStream::fill>("fill"),
                                methodNamed<&NativeStream::synchronize>("synchronize"),
                                methodNamed<&NativeStream::synchronizeSync>("synchronizeSync"),
                                methodNamed<&NativeStream::trainingForward>("trainingForward"),
                                methodNamed<&NativeStream::inferenceForward>("inferenceForward"),
                                methodNamed<&NativeStream::backward>("backward"),
                            });
}

Napi::Value NativeStream::upload(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const NativeBuffer& destination = arguments.buffer("destination");
  const DType to = arguments.dtype("to");
  const HostMemory host = arguments.host("source");
  const DType from = arguments.dtype("from");
  const size_t count = host.byteLength / sizeOf(from);
  state_.stream->upload(destination.memory("destination", count * sizeOf(to)), to, host.data, from, static_cast<int64_t>(count));
  return info.Env().Undefined();
}

Napi::Value NativeStream::download(const Napi::CallbackInfo& info) {
  const Download download{Arguments(info)};
  return Environment::of(info.Env())
      .promises.promise(
          info.Env(),
          [&](Completion completion) {
            download.queueOn(*state_.stream);
            state_.stream->notify(std::move(completion));
          },
          download.host.array);
}

Napi::Value NativeStream::downloadSync(const Napi::CallbackInfo& info) {
  Download(Arguments(info)).queueOn(*state_.stream);
  return synchronizeSync(info);
}

Napi::Value NativeStream::copy(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const NativeBuffer& destination = arguments.buffer("destination");
  const NativeBuffer& source = arguments.buffer("source");
  const auto bytes = static_cast<size_t>(arguments.integer("byteLength"));
  state_.stream->copy(destination.memory("destination", bytes), source.memory("source", bytes), bytes);
  return info.Env().Undefined();
}

Napi::Value NativeStream::fill(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const NativeBuffer& destination = arguments.buffer("destination");
  const DType dtype = arguments.dtype("dtype");
  const int64_t count = arguments.integer("count");
  const double value = arguments.number("value");
  state_.stream->fill(destination.memory("destination", static_cast<size_t>(count) * sizeOf(dtype)), dtype, count, value);
  return info.Env().Undefined();
}

Napi::Value NativeStream::synchronize(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env()).promises.promise(info.Env(), [this](Completion completion) {
    state_.stream->notify(std::move(completion));
  });
}

Napi::Value NativeStream::synchronizeSync(const Napi::CallbackInfo& info) {
  state_.stream->synchronize();
  return info.Env().Undefined();
}

Napi::Value NativeStream::trainingForward(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Backend& backend = NativeBackend::from(arguments.value(), "backend").on(*state_.device);
  TrainingForward call;
  call.problem = arguments.problem();
  call.problem.eps = arguments.number("eps");
  call.input = arguments.memory("input");
  call.residual = arguments.optionalMemory("residual");
  call.weight = arguments.optionalMemory("weight");
  call.bias = arguments.optionalMemory("bias");
  call.output = arguments.memory("output");
  call.statistics = arguments.memory("statistics");
  call.mask = arguments.optionalMemory("mask");
  call.runningMean = arguments.optionalMemory("runningMean");
  call.runningVariance = arguments.optionalMemory("runningVariance");
  call.momentum = arguments.number("momentum");
  call.unbiasedRunningVariance = arguments.boolean("unbiasedRunningVariance");
  backend.trainingForward(*state_.stream, call);
  return info.Env().Undefined();
}

Napi::Value NativeStream::inferenceForward(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Backend& backend = NativeBackend::from(arguments.value(), "backend").on(*state_.device);
  InferenceForward call;
  call.problem = arguments.problem();
  call.problem.eps = arguments.number("eps");
  call.input = arguments.memory("input");
  call.residual = arguments.optionalMemory("residual");
  call.mean = arguments.memory("mean");
  call.variance = arguments.memory("variance");
  call.weight = arguments.optionalMemory("weight");
  call.bias = arguments.optionalMemory("bias");
  call.output = arguments.memory("output");
  call.mask = arguments.optionalMemory("mask");
  backend.inferenceForward(*state_.stream, call);
  return info.Env().Undefined();
}

Napi::Value NativeStream::backward(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Backend& backend = NativeBackend::from(arguments.value(), "backend").on(*state_.device);
  Backward call;
  call.problem = arguments.problem();
  call.problem.eps = arguments.number("eps");
  call.gradOutput = arguments.memory("gradOutput");
  call.input = arguments.memory("input");
  call.residual = arguments.optionalMemory("residual");
  call.mask = arguments.optionalMemory("mask");
  const void* const statistics = arguments.optionalMemory("statistics");
  call.mean = arguments.optionalMemory("mean");
  call.variance = arguments.optionalMemory("variance");
  if (statistics != nullptr) {
    const auto rowBytes = static_cast<size_t>(call.problem.channels) * sizeOf(call.problem.parameterDtype);
    call.mean = statistics;
    call.meanLow = static_cast<const char*>(statistics) + rowBytes;
    call.variance = static_cast<const char*>(statistics) + 2 * rowBytes;
  }
  call.constantStatistics = statistics == nullptr;
  call.weight = arguments.optionalMemory("weight");
  call.bias = arguments.optionalMemory("bias");
  call.gradInput = arguments.memory("gradInput");
  call.gradWeight = arguments.optionalMemory("gradWeight");
  call.gradBias = arguments.optionalMemory("gradBias");
  call.gradResidual = arguments.optionalMemory("gradResidual");
  backend.backward(*state_.stream, call);
  return info.Env().Undefined();
}

}  // namespace cuda_batchnorm::binding
