// Streams and events: work in order, while the host goes on.
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

void appendOne(void* order) {
  auto& values = *static_cast<std::vector<int>*>(order);
  values.push_back(static_cast<int>(values.size()));
}

void keepsOrder() {
  const cudaStream_t stream = newStream();
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) OK(cudaLaunchHostFunc(stream, appendOne, &order));
  OK(cudaStreamSynchronize(stream));
  CHECK(order.size() == 1000);
  CHECK(cudaStreamQuery(stream) == cudaSuccess);
  OK(cudaStreamDestroy(stream));
}

void doesNotKeepTheHostWaiting() {
  const cudaStream_t stream = newStream();
  float* const memory = newFloats(64);
  Gate gate;
  gate.hold(stream);
  OK(launch(fill, stream, {nullptr, memory, 64}, {2, 32}));
  FAILS(cudaErrorNotReady, cudaStreamQuery(stream));
  CHECK(!isInitialised(memory, 64 * sizeof(float)));
  gate.open();
  OK(cudaStreamSynchronize(stream));
  CHECK(read(memory, 64) == std::vector<float>(64, 1.0f));
  OK(cudaStreamDestroy(stream));
  OK(cudaFree(memory));
}

void streamsDoNotWaitForEachOther() {
  const cudaStream_t held = newStream();
  const cudaStream_t other = newStream();
  Gate gate;
  gate.hold(held);
  std::vector<int> order;
  OK(cudaLaunchHostFunc(other, appendOne, &order));
  OK(cudaStreamSynchronize(other));
  CHECK(order.size() == 1);
  FAILS(cudaErrorNotReady, cudaStreamQuery(held));
  gate.open();
  OK(cudaDeviceSynchronize());
  OK(cudaStreamQuery(held));
  OK(cudaStreamDestroy(held));
  OK(cudaStreamDestroy(other));
}

void finishesWhatADestroyedStreamHasToDo() {
  const cudaStream_t stream = newStream();
  std::vector<int> order;
  Gate gate;
  gate.hold(stream);
  OK(cudaLaunchHostFunc(stream, appendOne, &order));
  OK(cudaStreamDestroy(stream));
  FAILS(cudaErrorInvalidResourceHandle, cudaStreamSynchronize(stream));
  CHECK(order.empty());
  gate.open();
  OK(cudaDeviceSynchronize());
  CHECK(order.size() == 1);
}

void hostFunctionsMayNotCallCuda() {
  const cudaStream_t stream = newStream();
  cudaError_t error = cudaSuccess;
  OK(cudaLaunchHostFunc(
      stream, [](void* result) { *static_cast<cudaError_t*>(result) = cudaDeviceSynchronize(); }, &error));
  OK(cudaStreamSynchronize(stream));
  CHECK(error == cudaErrorNotPermitted);
  OK(cudaStreamDestroy(stream));
}

void defaultStreamWaitsForBlockingStreams() {
  const cudaStream_t blocking = newStream(cudaStreamDefault);
  const cudaStream_t held = newStream();
  float* const memory = newFloats(32);
  Gate gate;
  gate.hold(held);
  OK(launch(fill, blocking, {nullptr, memory, 32}));
  OK(launch(add, nullptr, {memory, memory, 32}));
  OK(launch(add, blocking, {memory, memory, 32}));
  OK(cudaStreamSynchronize(blocking));
  CHECK(read(memory, 32)[0] == 3.0f);
  FAILS(cudaErrorNotReady, cudaStreamQuery(held));
  gate.open();
  OK(cudaStreamDestroy(blocking));
  OK(cudaStreamDestroy(held));
  OK(cudaFree(memory));
}

void eventsTellWhenWorkIsDone() {
  const cudaStream_t stream = newStream();
  const cudaEvent_t event = newEvent(cudaEventDisableTiming | cudaEventBlockingSync);
  OK(cudaEventQuery(event));
  OK(cudaEventSynchronize(event));
  Gate gate;
  gate.hold(stream);
  OK(cudaEventRecord(event, stream));
  FAILS(cudaErrorNotReady, cudaEventQuery(event));
  gate.open();
  OK(cudaEventSynchronize(event));
  OK(cudaEventQuery(event));
  OK(cudaEventDestroy(event));
  FAILS(cudaErrorInvalidResourceHandle, cudaEventQuery(event));
  OK(cudaStreamDestroy(stream));
}

void streamsWaitForEvents() {
  const cudaStream_t first = newStream();
  const cudaStream_t second = newStream();
  const cudaEvent_t event = newEvent();
  std::vector<int> order;
  Gate gate;
  OK(cudaStreamWaitEvent(second, event));  // never recorded: no wait
  OK(cudaStreamSynchronize(second));
  gate.hold(first);
  OK(cudaEventRecord(event, first));
  OK(cudaStreamWaitEvent(second, event));
  OK(cudaEventRecord(event, second));  // the wait is for what was recorded before
  OK(cudaLaunchHostFunc(second, appendOne, &order));
  FAILS(cudaErrorNotReady, cudaStreamQuery(second));
  OK(cudaEventDestroy(event));
  gate.open();
  OK(cudaStreamSynchronize(second));
  CHECK(order.size() == 1);
  OK(cudaStreamDestroy(first));
  OK(cudaStreamDestroy(second));
}

void eventsMeasureTime() {
  const cudaStream_t stream = newStream();
  const cudaEvent_t start = newEvent(cudaEventDefault);
  const cudaEvent_t end = newEvent(cudaEventDefault);
  const cudaEvent_t untimed = newEvent();
  float milliseconds = -1;
  OK(cudaEventRecord(start, stream));
  FAILS(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, start, end));
  Gate gate;
  gate.hold(stream);
  OK(cudaEventRecord(end, stream));
  OK(cudaEventRecord(untimed, stream));
  OK(cudaEventSynchronize(start));
  FAILS(cudaErrorNotReady, cudaEventElapsedTime(&milliseconds, start, end));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  gate.open();
  OK(cudaStreamSynchronize(stream));
  OK(cudaEventElapsedTime(&milliseconds, start, end));
  CHECK(milliseconds >= 20 && milliseconds < 20000);
  FAILS(cudaErrorInvalidResourceHandle, cudaEventElapsedTime(&milliseconds, start, untimed));
  for (const cudaEvent_t event : {start, end, untimed}) OK(cudaEventDestroy(event));
  OK(cudaStreamDestroy(stream));
}

void manyThreadsHaveTheirOwnStreams() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 20; ++round) {
        const cudaStream_t stream = newStream();
        float* memory = nullptr;
        OK(cudaMallocAsync(&memory, 128, stream));
        OK(launch(fill, stream, {nullptr, memory, 32}));
        OK(launch(add, stream, {memory, memory, 32}));
        float value = 0;
        OK(cudaMemcpyAsync(&value, memory + 31, sizeof value, cudaMemcpyDeviceToHost, stream));
        CHECK(value == 2.0f);
        OK(cudaFreeAsync(memory, stream));
        OK(cudaStreamDestroy(stream));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  OK(cudaDeviceSynchronize());
  CHECK(liveBytes() == 0);
}

}  // namespace

int main() {
  keepsOrder();
  doesNotKeepTheHostWaiting();
  streamsDoNotWaitForEachOther();
  finishesWhatADestroyedStreamHasToDo();
  hostFunctionsMayNotCallCuda();
  defaultStreamWaitsForBlockingStreams();
  eventsTellWhenWorkIsDone();
  streamsWaitForEvents();
  eventsMeasureTime();
  manyThreadsHaveTheirOwnStreams();
}
