// addon.emulator: how TypeScript tests reach the emulator.
#pragma once

#include <napi.h>

namespace cuda_batchnorm::emulator {

void defineEmulator(Napi::Env env, Napi::Object exports);

}  // namespace cuda_batchnorm::emulator
