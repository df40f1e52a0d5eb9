// Capture and graphs, and what CUDA refuses while streams capture.
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

struct Fixture {
  cudaStream_t stream = newStream();
  cudaStream_t other = newStream();
  cudaEvent_t event = newEvent();
  cudaEvent_t back = newEvent();
  float* memory = newFloats(64);

  ~Fixture() {
    OK(cudaDeviceSynchronize());
    OK(cudaStreamDestroy(stream));
    OK(cudaStreamDestroy(other));
    OK(cudaEventDestroy(event));
    OK(cudaEventDestroy(back));
    OK(cudaFree(memory));
  }
};

cudaStreamCaptureStatus statusOf(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  OK(cudaStreamIsCapturing(stream, &status));
  return status;
}

cudaGraphExec_t instantiate(cudaGraph_t graph) {
  cudaGraphExec_t exec = nullptr;
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  return exec;
}

void countCall(void* calls) { ++*static_cast<int*>(calls); }

void graphsRepeatWhatWasCaptured() {
  Fixture fixture;
  float* pinned = nullptr;
  int calls = 0;
  OK(cudaMallocHost(&pinned, 4));
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeThreadLocal));
  CHECK(statusOf(fixture.stream) == cudaStreamCaptureStatusActive);
  FAILS(cudaErrorIllegalState, cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeThreadLocal));
  OK(cudaMemcpyAsync(fixture.memory, pinned, 4, cudaMemcpyHostToDevice, fixture.stream));
  OK(launch(add, fixture.stream, {fixture.memory, fixture.memory, 1}));
  OK(cudaMemcpyAsync(fixture.memory + 1, fixture.memory, 4, cudaMemcpyDeviceToDevice, fixture.stream));
  OK(cudaMemsetAsync(fixture.memory + 2, 0, 4, fixture.stream));
  OK(cudaMemcpyAsync(pinned, fixture.memory + 1, 4, cudaMemcpyDeviceToHost, fixture.stream));
  OK(cudaLaunchHostFunc(fixture.stream, countCall, &calls));
  cudaGraph_t graph = nullptr;
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  CHECK(statusOf(fixture.stream) == cudaStreamCaptureStatusNone);
  size_t nodes = 0;
  OK(cudaGraphGetNodes(graph, nullptr, &nodes));
  CHECK(nodes == 6);
  const cudaGraphExec_t exec = instantiate(graph);
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(calls == 0 && !isInitialised(fixture.memory, 4));  // nothing ran
  *pinned = 10;
  for (int i = 0; i < 5; ++i) OK(cudaGraphLaunch(exec, i % 2 == 0 ? fixture.stream : fixture.other));
  OK(cudaStreamSynchronize(fixture.stream));
  OK(cudaStreamSynchronize(fixture.other));
  CHECK(*pinned == 15 && calls == 5);
  OK(cudaGraphLaunch(exec, fixture.stream));
  OK(cudaGraphExecDestroy(exec));  // while it runs, perhaps
  FAILS(cudaErrorInvalidValue, cudaGraphLaunch(exec, fixture.stream));
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(*pinned == 16);
  OK(cudaFreeHost(pinned));
}

void capturesForkAndJoin() {
  Fixture fixture;
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeRelaxed));
  OK(launch(fill, fixture.stream, {nullptr, fixture.memory, 32}));
  OK(cudaEventRecord(fixture.event, fixture.stream));
  OK(cudaStreamWaitEvent(fixture.other, fixture.event));
  CHECK(statusOf(fixture.other) == cudaStreamCaptureStatusActive);
  OK(launch(add, fixture.other, {fixture.memory, fixture.memory + 32, 32}));
  OK(cudaEventRecord(fixture.back, fixture.other));
  OK(cudaStreamWaitEvent(fixture.stream, fixture.back));
  OK(launch(add, fixture.stream, {fixture.memory + 32, fixture.memory + 32, 32}));
  cudaGraph_t graph = nullptr;
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  CHECK(statusOf(fixture.other) == cudaStreamCaptureStatusNone);
  const cudaGraphExec_t exec = instantiate(graph);
  OK(cudaGraphLaunch(exec, fixture.other));
  OK(cudaStreamSynchronize(fixture.other));
  CHECK(read(fixture.memory + 32, 32)[0] == 3.0f);

  // A graph within a capture.
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeRelaxed));
  OK(cudaGraphLaunch(exec, fixture.stream));
  OK(launch(add, fixture.stream, {fixture.memory + 32, fixture.memory + 32, 32}));
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  const cudaGraphExec_t outer = instantiate(graph);
  OK(cudaGraphLaunch(outer, fixture.stream));
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(read(fixture.memory + 32, 32)[0] == 4.0f);
  OK(cudaGraphExecDestroy(exec));
  OK(cudaGraphExecDestroy(outer));
}

// `refused` gives an error within a capture, and the capture is worth nothing after it.
template <class Refused>
void invalidates(cudaError_t error, cudaStreamCaptureMode mode, const Refused& refused) {
  Fixture fixture;
  cudaGraph_t graph = nullptr;
  OK(cudaStreamBeginCapture(fixture.stream, mode));
  OK(launch(fill, fixture.stream, {nullptr, fixture.memory, 32}));
  FAILS(error, refused(fixture));
  CHECK(statusOf(fixture.stream) == cudaStreamCaptureStatusInvalidated);
  FAILS(cudaErrorStreamCaptureInvalidated, launch(fill, fixture.stream, {nullptr, fixture.memory, 32}));
  FAILS(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(fixture.stream, &graph));
  CHECK(graph == nullptr);
  CHECK(statusOf(fixture.stream) == cudaStreamCaptureStatusNone);
  OK(launch(fill, fixture.stream, {nullptr, fixture.memory, 32}));  // works again
}

void refusesWhatGraphsCannotRepeat() {
  const auto relaxed = cudaStreamCaptureModeRelaxed;
  const auto unsupported = cudaErrorStreamCaptureUnsupported;
  invalidates(unsupported, relaxed, [](Fixture& f) { return cudaStreamSynchronize(f.stream); });
  invalidates(unsupported, relaxed, [](Fixture& f) { return cudaStreamQuery(f.stream); });
  invalidates(unsupported, relaxed, [](Fixture&) { return cudaDeviceSynchronize(); });
  invalidates(unsupported, relaxed, [](Fixture& f) {
    float value = 0;
    return cudaMemcpyAsync(f.memory, &value, 4, cudaMemcpyHostToDevice, f.stream);  // pageable
  });
  invalidates(cudaErrorCapturedEvent, relaxed, [](Fixture& f) {
    OK(cudaEventRecord(f.event, f.stream));
    return cudaEventQuery(f.event);
  });
  invalidates(cudaErrorStreamCaptureIsolation, relaxed, [](Fixture& f) {
    OK(cudaEventRecord(f.event, f.other));
    return cudaStreamWaitEvent(f.stream, f.event);
  });
  invalidates(cudaErrorStreamCaptureUnmatched, relaxed, [](Fixture& f) {
    OK(cudaEventRecord(f.event, f.stream));
    OK(cudaStreamWaitEvent(f.other, f.event));
    cudaGraph_t graph = nullptr;
    return cudaStreamEndCapture(f.other, &graph);
  });
  invalidates(cudaErrorStreamCaptureMerge, relaxed, [](Fixture& f) {
    OK(cudaStreamBeginCapture(f.other, cudaStreamCaptureModeRelaxed));
    OK(cudaEventRecord(f.event, f.other));
    const cudaError_t error = cudaStreamWaitEvent(f.stream, f.event);
    cudaGraph_t graph = nullptr;
    FAILS(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(f.other, &graph));
    return error;
  });
}

void refusesUnsafeCallsByMode() {
  const auto allocate = [](Fixture&) {
    void* memory = nullptr;
    return cudaMalloc(&memory, 4);
  };
  const auto allocateOnAnotherThread = [&](Fixture& f) {
    cudaError_t error = cudaSuccess;
    std::thread([&] { error = allocate(f); }).join();
    return error;
  };
  const auto unsupported = cudaErrorStreamCaptureUnsupported;
  invalidates(unsupported, cudaStreamCaptureModeGlobal, allocate);
  invalidates(unsupported, cudaStreamCaptureModeThreadLocal, allocate);
  invalidates(unsupported, cudaStreamCaptureModeGlobal, allocateOnAnotherThread);
  invalidates(unsupported, cudaStreamCaptureModeGlobal, [](Fixture& f) { return cudaStreamSynchronize(f.other); });

  Fixture fixture;
  void* memory = nullptr;
  cudaGraph_t graph = nullptr;
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeThreadLocal));
  std::thread([&] { OK(cudaMalloc(&memory, 4)); }).join();
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  OK(cudaGraphDestroy(graph));
  OK(cudaFree(memory));
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeRelaxed));
  OK(cudaMalloc(&memory, 4));
  OK(cudaStreamSynchronize(fixture.other));
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  OK(cudaGraphDestroy(graph));
  OK(cudaFree(memory));

  // A thread may say that it knows what it does.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeGlobal));
  OK(cudaThreadExchangeStreamCaptureMode(&mode));
  CHECK(mode == cudaStreamCaptureModeGlobal);
  OK(cudaMalloc(&memory, 4));
  OK(cudaThreadExchangeStreamCaptureMode(&mode));
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  OK(cudaGraphDestroy(graph));
  OK(cudaFree(memory));
}

void capturesEndWhereTheyBegan() {
  Fixture fixture;
  cudaGraph_t graph = nullptr;
  FAILS(cudaErrorIllegalState, cudaStreamEndCapture(fixture.stream, &graph));
  FAILS(cudaErrorStreamCaptureUnsupported, cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeRelaxed));

  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeThreadLocal));
  std::thread([&] { FAILS(cudaErrorStreamCaptureWrongThread, cudaStreamEndCapture(fixture.stream, &graph)); }).join();
  OK(cudaEventRecord(fixture.event, fixture.stream));
  OK(cudaStreamWaitEvent(fixture.other, fixture.event));
  OK(launch(fill, fixture.other, {nullptr, fixture.memory, 32}));
  FAILS(cudaErrorStreamCaptureUnjoined, cudaStreamEndCapture(fixture.stream, &graph));
  CHECK(statusOf(fixture.stream) == cudaStreamCaptureStatusNone && statusOf(fixture.other) == cudaStreamCaptureStatusNone);

  const cudaStream_t gone = newStream();
  OK(cudaStreamBeginCapture(gone, cudaStreamCaptureModeGlobal));
  OK(cudaStreamDestroy(gone));
  OK(cudaDeviceSynchronize());
}

void defaultStreamStaysOut() {
  const cudaStream_t blocking = newStream(cudaStreamDefault);
  float* const memory = newFloats(32);
  cudaGraph_t graph = nullptr;
  OK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  FAILS(cudaErrorStreamCaptureImplicit, launch(fill, nullptr, {nullptr, memory, 32}));
  FAILS(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(blocking, &graph));
  OK(cudaStreamDestroy(blocking));
  OK(cudaFree(memory));
}

void launchesOfGraphsFailOnRequest() {
  Fixture fixture;
  cudaGraph_t graph = nullptr;
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeRelaxed));
  OK(launch(fill, fixture.stream, {nullptr, fixture.memory, 32}));
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  const cudaGraphExec_t exec = instantiate(graph);
  failNth(FailureKind::Launch, 1);
  FAILS(cudaErrorLaunchOutOfResources, cudaGraphLaunch(exec, fixture.stream));
  OK(cudaGraphLaunch(exec, fixture.stream));
  OK(cudaStreamSynchronize(fixture.stream));
  OK(cudaGraphExecDestroy(exec));
}

}  // namespace

int main() {
  graphsRepeatWhatWasCaptured();
  capturesForkAndJoin();
  refusesWhatGraphsCannotRepeat();
  refusesUnsafeCallsByMode();
  capturesEndWhereTheyBegan();
  defaultStreamStaysOut();
  launchesOfGraphsFailOnRequest();
  CHECK(liveBytes() == 0 && pinnedBytes() == 0);
  CHECK(lastFault().empty());
}
