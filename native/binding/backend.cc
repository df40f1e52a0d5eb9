#include "backend.h"

#include <string>

#include "arguments.h"

namespace cuda_batchnorm::binding {
namespace {

Operation operationNamed(const Napi::Value& value) {
  const std::string name = value.ToString();
  if (name == "trainingForward") return Operation::TrainingForward;
  if (name == "inferenceForward") return Operation::InferenceForward;
  if (name == "backward") return Operation::Backward;
  throw unexpected("the name of an operation", "operation", value);
}

}  // namespace

void NativeBackend::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeBackend::explain>("explain"),
                                methodNamed<&NativeBackend::force>("force"),
                                methodNamed<&NativeBackend::maskBytes>("maskBytes"),
                            });
}

Backend& NativeBackend::on(const Device& device) const {
  if (state_.device != &device) throw Error(ErrorCode::InvalidArgument, "Expected the backend and the stream to be of one device");
  return *state_.backend;
}

Napi::Value NativeBackend::explain(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Outline outline;
  outline.operation = operationNamed(arguments.value());
  outline.problem = arguments.problem();
  const Napi::Object given = arguments.value().ToObject();
  const auto isGiven = [&](const char* name) { return given.Get(name).ToBoolean().Value(); };
  outline.residual = isGiven("residual");
  outline.mask = isGiven("mask");
  outline.running = isGiven("running");
  outline.constantStatistics = isGiven("constantStatistics");
  outline.gradWeight = isGiven("gradWeight");
  outline.gradBias = isGiven("gradBias");
  outline.gradResidual = isGiven("gradResidual");

  Napi::Array launches = Napi::Array::New(info.Env());
  for (const KernelLaunch& launch : state_.backend->explain(*state_.device, outline)) {
    Napi::Object object = Napi::Object::New(info.Env());
    object["kernel"] = launch.kernel;
    object["grid"] = launch.grid;
    object["block"] = launch.block;
    object["sharedBytes"] = launch.sharedBytes;
    object["bytesRead"] = static_cast<double>(launch.bytesRead);
    object["bytesWritten"] = static_cast<double>(launch.bytesWritten);
    object["blocksPerProcessor"] = launch.blocksPerProcessor;
    object["team"] = launch.team;
    object["teamBlocks"] = launch.teamBlocks;
    object["seconds"] = launch.seconds;
    launches[launches.Length()] = object;
  }
  return launches;
}

Napi::Value NativeBackend::force(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  state_.backend->force(arguments.value().ToString());
  return info.Env().Undefined();
}

Napi::Value NativeBackend::maskBytes(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const Problem problem = arguments.problem();
  const bool residual = arguments.boolean("residual");
  return Napi::Number::New(info.Env(), static_cast<double>(state_.backend->maskBytes(*state_.device, problem, residual)));
}

}  // namespace cuda_batchnorm::binding
