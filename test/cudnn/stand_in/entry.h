// How the library's functions are entered and left.
#pragma once

#include <functional>

#include "objects.h"

#define CUDNN_EXPORT extern "C" __attribute__((visibility("default")))

namespace cuda_batchnorm::stand_in {

// The status of a call: what `body` complains of is kept for cudnnGetLastErrorString.
cudnn::Status enter(const char* function, const std::function<void()>& body);

}  // namespace cuda_batchnorm::stand_in
