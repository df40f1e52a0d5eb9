// A fault is a sticky error: every later call on that device tells it, other devices and the process go on.
#include <cstdlib>

#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

void readBeyondTheEnd(cudaStream_t stream, float* memory) { OK(launch(add, stream, {memory, memory, 33}, {2, 32})); }

void everyCallTellsTheError() {
  const cudaStream_t stream = newStream();
  const cudaEvent_t event = newEvent();
  float* const memory = newFloats(32);
  void* pinned = nullptr;
  OK(cudaHostAlloc(&pinned, 16, 0));
  OK(cudaMemset(memory, 0, 128));
  std::atomic<int> calls{0};
  Gate gate;
  gate.hold(stream);
  readBeyondTheEnd(stream, memory);
  OK(cudaEventRecord(event, stream));
  OK(cudaLaunchHostFunc(
      stream, [](void* counted) { ++*static_cast<std::atomic<int>*>(counted); }, &calls));
  gate.open();

  const cudaError_t sticky = cudaErrorIllegalAddress;
  FAILS(sticky, cudaStreamSynchronize(stream));
  CHECK(calls == 0);  // CUDA calls nobody after an error
  CHECK(contains(lastFault(), "out-of-bounds read") && contains(lastFault(), "add"));
  const std::string words = cudaGetErrorString(sticky);
  CHECK(words == "an illegal memory access was encountered: " + lastFault());
  CHECK(cudaGetLastError() == sticky);
  CHECK(cudaGetLastError() == sticky);
  CHECK(cudaPeekAtLastError() == sticky);
  void* more = nullptr;
  FAILS(sticky, cudaMalloc(&more, 4));
  FAILS(sticky, cudaMallocAsync(&more, 4, stream));
  FAILS(sticky, cudaHostAlloc(&more, 4, 0));
  FAILS(sticky, cudaMemcpy(&more, memory, 4, cudaMemcpyDeviceToHost));
  FAILS(sticky, cudaMemsetAsync(memory, 0, 4, stream));
  FAILS(sticky, cudaEventQuery(event));
  FAILS(sticky, cudaEventSynchronize(event));
  FAILS(sticky, cudaStreamQuery(stream));
  FAILS(sticky, cudaStreamWaitEvent(stream, event));
  FAILS(sticky, cudaDeviceSynchronize());
  FAILS(sticky, launch(fill, stream, {nullptr, memory, 32}));
  // What is given back is given back.
  FAILS(sticky, cudaFree(memory));
  FAILS(sticky, cudaFreeHost(pinned));
  FAILS(sticky, cudaEventDestroy(event));
  FAILS(sticky, cudaStreamDestroy(stream));
  CHECK(liveBytes() == 0 && pinnedBytes() == 0);
  reset();
  OK(cudaGetLastError());
  OK(cudaDeviceSynchronize());
  CHECK(lastFault().empty());
}

void onlyTheFirstFaultCounts() {
  const cudaStream_t stream = newStream();
  float* const memory = newFloats(32);
  Gate gate;
  gate.hold(stream);
  OK(launch(add, stream, {memory, memory, 32}));
  readBeyondTheEnd(stream, nullptr);
  gate.open();
  FAILS(cudaErrorAssert, cudaStreamSynchronize(stream));
  CHECK(contains(lastFault(), "uninitialised read"));
  cudaFree(memory);
  cudaStreamDestroy(stream);
  reset();
}

void pendingFreesAreDone() {
  const cudaStream_t stream = newStream();
  float* memory = nullptr;
  float* more = nullptr;
  OK(cudaMallocAsync(&memory, 128, stream));
  OK(cudaMallocAsync(&more, 128, stream));
  OK(cudaMemsetAsync(memory, 0, 128, stream));
  Gate gate;
  gate.hold(stream);
  readBeyondTheEnd(stream, memory);
  OK(cudaFreeAsync(memory, stream));
  gate.open();
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(stream));
  FAILS(cudaErrorIllegalAddress, cudaFreeAsync(more, stream));
  cudaStreamDestroy(stream);
  reset();
  OK(cudaDeviceSynchronize());
  CHECK(liveBytes() == 0);
}

// The wait ends though the work before the event never ran.
void nobodyWaitsForAFailedDevice() {
  const cudaStream_t failing = newStream();
  const cudaStream_t waiting = newStream();
  const cudaEvent_t event = newEvent();
  float* const memory = newFloats(32);
  OK(cudaMemset(memory, 0, 128));
  Gate gate;
  gate.hold(failing);
  readBeyondTheEnd(failing, memory);
  OK(cudaEventRecord(event, failing));
  OK(cudaStreamWaitEvent(waiting, event));
  gate.open();
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(waiting));
  cudaFree(memory);
  cudaStreamDestroy(failing);
  cudaStreamDestroy(waiting);
  cudaEventDestroy(event);
  reset();
}

void otherDevicesGoOn() {
  const cudaStream_t failing = newStream();
  float* const memory = newFloats(32);
  OK(cudaMemset(memory, 0, 128));
  OK(cudaSetDevice(1));
  const cudaStream_t stream = newStream();
  float* const own = newFloats(32);
  OK(cudaMemset(own, 0, 128));
  FAILS(cudaErrorInvalidResourceHandle, launch(fill, failing, {nullptr, memory, 32}));  // a stream of the other device
  OK(cudaSetDevice(0));
  readBeyondTheEnd(failing, memory);
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(failing));
  OK(cudaSetDevice(1));
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(failing));
  OK(launch(add, stream, {own, own, 32}));
  OK(cudaStreamSynchronize(stream));
  CHECK(read(own, 32)[31] == 1.0f);
  CHECK(cudaGetErrorString(cudaErrorAssert) == std::string("device-side assert triggered"));
  reset();

  // Memory of another device is out of reach for kernels, not for copies.
  OK(cudaMemcpyPeerAsync(own, 1, memory, 0, 128, stream));
  OK(cudaStreamSynchronize(stream));
  OK(launch(add, stream, {memory, own, 32}));
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(stream));
  CHECK(contains(lastFault(), "memory of another device: add on stream "));
  OK(cudaSetDevice(0));
  OK(cudaDeviceSynchronize());
  OK(cudaFree(memory));
  OK(cudaStreamDestroy(failing));
  OK(cudaSetDevice(1));
  cudaFree(own);
  cudaStreamDestroy(stream);
  reset();
  OK(cudaSetDevice(0));
}

}  // namespace

int main() {
  setenv("CUDA_BATCHNORM_EMULATED_DEVICES", "2", 1);
  everyCallTellsTheError();
  onlyTheFirstFaultCounts();
  pendingFreesAreDone();
  nobodyWaitsForAFailedDevice();
  otherDevicesGoOn();
  CHECK(liveBytes() == 0 && pinnedBytes() == 0);
}
