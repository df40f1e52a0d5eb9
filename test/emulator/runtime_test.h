// What the tests of the stand-in runtime share: checked calls, small kernels, and a gate that holds a stream back, so that no test depends
// on timing.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "../native/check.h"
#include "control.h"
#include "memory.h"
#include "primitives.h"
#include "runtime/driver.h"
#include "runtime/streams.h"

#define OK(call) CHECK((call) == cudaSuccess)
#define FAILS(error, call) CHECK((call) == (error))

namespace cuda_batchnorm::emulator {

struct Array {
  const float* input;
  float* output;
  uint32_t count;
};

struct Launch {
  uint32_t grid = 1;
  uint32_t block = 32;
  size_t shared = 0;
  uint32_t cluster = 1;
  bool cooperative = false;
};

inline KERNEL fill(Array array) {
  const uint32_t i = cuda::blockIndex() * cuda::blockThreads() + cuda::threadIndex();
  if (i < array.count) cuda::storeGlobal(array.output + i, 1.0f);
}

inline KERNEL add(Array array) {
  const uint32_t i = cuda::blockIndex() * cuda::blockThreads() + cuda::threadIndex();
  if (i < array.count) cuda::storeGlobal(array.output + i, cuda::loadGlobal(array.input + i) + 1.0f);
}

inline cudaError_t launch(void (*kernel)(Array), cudaStream_t stream, const Array& array, const Launch& shape = {}) {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(shape.grid);
  config.blockDim = dim3(shape.block);
  config.dynamicSmemBytes = shape.shared;
  config.stream = stream;
  config.attrs = attributes;
  if (shape.cluster > 1) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = shape.cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  }
  if (shape.cooperative) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
  }
  return cudaLaunchKernelEx(&config, kernel, array);
}

inline cudaStream_t newStream(unsigned flags = cudaStreamNonBlocking) {
  cudaStream_t stream = nullptr;
  OK(cudaStreamCreateWithFlags(&stream, flags));
  return stream;
}

inline cudaEvent_t newEvent(unsigned flags = cudaEventDisableTiming) {
  cudaEvent_t event = nullptr;
  OK(cudaEventCreateWithFlags(&event, flags));
  return event;
}

inline float* newFloats(size_t count) {
  float* floats = nullptr;
  OK(cudaMalloc(&floats, count * sizeof(float)));
  return floats;
}

inline std::vector<float> read(const float* device, size_t count) {
  std::vector<float> values(count);
  OK(cudaMemcpy(values.data(), device, count * sizeof(float), cudaMemcpyDeviceToHost));
  return values;
}

// Streams behind it go on when it is opened.
class Gate {
 public:
  void hold(cudaStream_t stream) {
    OK(cudaLaunchHostFunc(
        stream,
        [](void* gate) {
          while (!static_cast<Gate*>(gate)->open_) std::this_thread::yield();
        },
        this));
  }
  void open() { open_ = true; }

 private:
  std::atomic<bool> open_{false};
};

// Waits until the streams, but for one that is held, have nothing to do or wait for each other. The runtime does not know that the host has
// waited.
inline void letStreamsWork(cudaStream_t held = nullptr) {
  const auto quiet = [&](const std::shared_ptr<Stream>& stream) {
    return stream->idle() || stream->blocked || reinterpret_cast<cudaStream_t>(stream.get()) == held;
  };
  Driver& state = driver();
  std::unique_lock<std::mutex> lock(state.mutex);
  state.progress.wait(lock, [&] { return std::all_of(state.living.begin(), state.living.end(), quiet); });
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace cuda_batchnorm::emulator
