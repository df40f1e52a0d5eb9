// addon.emulator.cudnn: how TypeScript tests reach the stand-in for cuDNN (test/cudnn).
#pragma once

#include <napi.h>

namespace cuda_batchnorm::emulator {

Napi::Object cudnnStandIn(Napi::Env env);

}  // namespace cuda_batchnorm::emulator
