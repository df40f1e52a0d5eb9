// Tensors passed between libraries by DLPack: one structure in memory, whoever holds it last calls its deleter.
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>

#include "../core/backend.h"

namespace cuda_batchnorm::binding {

struct DLManagedTensor;

// The functions of the addon that are named so in lib/addon.ts.
Napi::Value exportDLPack(const Napi::CallbackInfo& info);
Napi::Value inspectDLPack(const Napi::CallbackInfo& info);

// The memory of a tensor of another library's. It is given back on the environment's thread, when the work queued on the device by
// then is done.
std::shared_ptr<void> adoptDLPack(Napi::Env env, const std::shared_ptr<Device>& device, DLManagedTensor* managed);

}  // namespace cuda_batchnorm::binding
