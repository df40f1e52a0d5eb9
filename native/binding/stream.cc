#include "stream.h"

#include <cstring>
#include <utility>
#include <vector>

#include "arguments.h"
#include "backend.h"
#include "buffer.h"
#include "event.h"

namespace cuda_batchnorm::binding {
namespace {

bool isHost(const Device& device) { return std::strcmp(device.type(), "cpu") == 0; }

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

// Between devices, by way of host memory. Waits until the source holds what it will hold, and where the destination is host memory,
// until nobody uses that any more.
void copyBetween(Stream& stream, void* destination, Device& to, const void* source, Device& from, size_t bytes) {
  constexpr DType kAsItIs = DType::Float16;  // no dtype has fewer bytes
  const auto count = static_cast<int64_t>(bytes / sizeOf(kAsItIs));
  const auto receive = [&](void* host) {
    from.defaultStream().download(host, kAsItIs, source, kAsItIs, count);
    from.defaultStream().synchronize();
  };
  if (isHost(from)) {
    from.synchronize();
    stream.upload(destination, kAsItIs, source, kAsItIs, count);
  } else if (isHost(to)) {
    to.synchronize();
    receive(destination);
  } else {
    std::vector<char> host(bytes);
    receive(host.data());
    stream.upload(destination, kAsItIs, host.data(), kAsItIs, count);
  }
}

void advance(const void*& memory, int64_t bytes) {
  if (memory != nullptr) memory = static_cast<const char*>(memory) + bytes;
}
void advance(void*& memory, int64_t bytes) {
  if (memory != nullptr) memory = static_cast<char*>(memory) + bytes;
}

// Moves what belongs to a batch from the whole batch to a part of it.
void enter(const BatchPart& part, TrainingForward& call) {
  const auto bytes = part.elements * static_cast<int64_t>(sizeOf(call.problem.dtype));
  advance(call.input, bytes);
  advance(call.residual, bytes);
  advance(call.output, bytes);
  advance(call.statistics, part.statisticsBytes);
  advance(call.mask, part.maskBytes);
}

void enter(const BatchPart& part, Backward& call) {
  const auto bytes = part.elements * static_cast<int64_t>(sizeOf(call.problem.dtype));
  advance(call.gradOutput, bytes);
  advance(call.input, bytes);
  advance(call.output, bytes);
  advance(call.residual, bytes);
  advance(call.gradInput, bytes);
  advance(call.gradResidual, bytes);
  advance(call.mask, part.maskBytes);
  call.accumulates = part.elements > 0;
}

// The statistics that a training pass saved, row by row.
void readStatistics(const void* statistics, bool renormalized, Backward& call) {
  const auto rowBytes = static_cast<size_t>(call.problem.channels) * sizeOf(call.problem.parameterDtype);
  const auto row = [&](size_t i) { return static_cast<const char*>(statistics) + i * rowBytes; };
  call.mean = row(0);
  call.meanLow = row(1);
  call.variance = row(2);
  if (!renormalized) return;
  call.renormScale = row(3);
  call.renormShift = row(4);
}

}  // namespace

Stream& NativeStream::on(const Device& device) const {
  if (state_.device.get() != &device) throw Error(ErrorCode::InvalidArgument, "Expected a stream of device " + device.name());
  return *state_.stream;
}

void NativeStream::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeStream::upload>("upload"),
                                methodNamed<&NativeStream::download>("download"),
                                methodNamed<&NativeStream::downloadSync>("downloadSync"),
                                methodNamed<&NativeStream::copy>("copy"),
                                methodNamed<&NativeStream::fill>("fill"),
                                methodNamed<&NativeStream::record>("record"),
                                methodNamed<&NativeStream::wait>("wait"),
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
      .promises.promise(info.Env(),
                        [&](Completion completion) {
                          download.queueOn(*state_.stream);
                          state_.stream->notify(std::move(completion));
                        },
                        {download.host.array, info.This().As<Napi::Object>()});
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
  void* const to = destination.memory("destination", bytes);
  const void* const from = source.memory("source", bytes);
  if (&destination.device() == &source.device()) {
    state_.stream->copy(to, from, bytes);
  } else {
    copyBetween(*state_.stream, to, destination.device(), from, source.device(), bytes);
  }
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

Napi::Value NativeStream::record(const Napi::CallbackInfo& info) {
  return NativeEvent::create(info.Env(), NativeEvent::State{state_.device, state_.stream->record()});
}

Napi::Value NativeStream::wait(const Napi::CallbackInfo& info) {
  state_.stream->wait(NativeEvent::from(Arguments(info).value(), "event").on(*state_.device));
  return info.Env().Undefined();
}

Napi::Value NativeStream::synchronize(const Napi::CallbackInfo& info) {
  return Environment::of(info.Env())
      .promises.promise(info.Env(), [this](Completion completion) { state_.stream->notify(std::move(completion)); },
                        {info.This().As<Napi::Object>()});
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
  call.renorm = arguments.renorm();
  enter(arguments.part(), call);
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
  call.output = arguments.optionalMemory("output");
  call.residual = arguments.optionalMemory("residual");
  call.mask = arguments.optionalMemory("mask");
  const auto* const statistics = static_cast<const char*>(arguments.optionalMemory("statistics"));
  call.mean = arguments.optionalMemory("mean");
  call.variance = arguments.optionalMemory("variance");
  call.constantStatistics = statistics == nullptr;
  call.weight = arguments.optionalMemory("weight");
  call.bias = arguments.optionalMemory("bias");
  call.gradInput = arguments.memory("gradInput");
  call.gradWeight = arguments.optionalMemory("gradWeight");
  call.gradBias = arguments.optionalMemory("gradBias");
  call.gradResidual = arguments.optionalMemory("gradResidual");
  call.inPlace = arguments.boolean("inPlace");
  const bool renormalized = arguments.renorm().on;
  const BatchPart part = arguments.part();
  if (statistics != nullptr) readStatistics(statistics + part.statisticsBytes, renormalized, call);
  enter(part, call);
  backend.backward(*state_.stream, call);
  return info.Env().Undefined();
}

}  // namespace cuda_batchnorm::binding
