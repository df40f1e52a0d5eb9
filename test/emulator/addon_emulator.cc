#include "addon_emulator.h"

#include <cmath>
#include <optional>
#include <string>

#include "addon_cudnn.h"
#include "control.h"
#include "counters.h"
#include "memory.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr double kLargestInteger = 9007199254740991;

uint64_t countAt(const Napi::CallbackInfo& info, size_t index) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : -1;
  if (value < 0 || value > kLargestInteger || value != std::floor(value)) {
    throw Napi::TypeError::New(info.Env(), "Expected an integer of 0 or more for argument " + std::to_string(index));
  }
  return static_cast<uint64_t>(value);
}

FailureKind failureKind(const Napi::CallbackInfo& info) {
  const std::string name = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
  if (name == "allocation") return FailureKind::Allocation;
  if (name == "copy") return FailureKind::Copy;
  if (name == "launch") return FailureKind::Launch;
  throw Napi::TypeError::New(info.Env(), "Expected 'allocation', 'copy' or 'launch' for argument 0");
}

Napi::Value number(Napi::Env env, uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Value countersOf(const Napi::CallbackInfo& info) {
  Napi::Array kernels = Napi::Array::New(info.Env());
  for (const KernelCounters& counters : takeCounters()) {
    Napi::Object kernel = Napi::Object::New(info.Env());
    kernel["kernel"] = counters.kernel;
    kernel["launches"] = number(info.Env(), counters.launches);
    kernel["loadBytes"] = number(info.Env(), counters.loadBytes);
    kernel["storeBytes"] = number(info.Env(), counters.storeBytes);
    kernel["loadSectors"] = number(info.Env(), counters.loadSectors);
    kernel["storeSectors"] = number(info.Env(), counters.storeSectors);
    kernels[kernels.Length()] = kernel;
  }
  return kernels;
}

template <class Body>
void define(Napi::Object object, const char* name, Body body) {
  object[name] = Napi::Function::New(object.Env(), body, name);
}

}  // namespace

void defineEmulator(Napi::Env env, Napi::Object exports) {
  Napi::Object emulator = Napi::Object::New(env);
  define(emulator, "setSeed", [](const Napi::CallbackInfo& info) { setSeed(countAt(info, 0)); });
  define(emulator, "fail",
         [](const Napi::CallbackInfo& info) { failNth(failureKind(info), countAt(info, 1), info.Length() > 2 ? countAt(info, 2) : 1); });
  define(emulator, "reset", [](const Napi::CallbackInfo&) { reset(); });
  define(emulator, "liveBytes", [](const Napi::CallbackInfo& info) { return number(info.Env(), liveBytes()); });
  define(emulator, "pinnedBytes", [](const Napi::CallbackInfo& info) { return number(info.Env(), pinnedBytes()); });
  define(emulator, "startCounting", [](const Napi::CallbackInfo&) { enableCounting(true); });
  define(emulator, "stopCounting", [](const Napi::CallbackInfo&) { enableCounting(false); });
  define(emulator, "takeCounters", countersOf);
  define(emulator, "lastFault", [](const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), lastFault()); });
  emulator["cudnn"] = cudnnStandIn(env);
  exports["emulator"] = emulator;
}

}  // namespace cuda_batchnorm::emulator
