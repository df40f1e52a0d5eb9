// The process ends at once, whatever streams still have to do: work that waits forever, work that has not begun, a thread that waits for
// it.
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

void waitForever(cudaStream_t stream) {
  const cudaError_t error = cudaStreamSynchronize(stream);
  CHECK(error == cudaErrorCudartUnloading);
}

}  // namespace

int main() {
  static Gate gate;  // opened when the process is about to end, before streams are told to
  const cudaStream_t held = newStream();
  const cudaStream_t waiting = newStream();
  const cudaEvent_t event = newEvent();
  float* memory = nullptr;
  OK(cudaMallocAsync(&memory, 128, held));
  gate.hold(held);
  for (int i = 0; i < 100; ++i) OK(launch(fill, held, {nullptr, memory, 32}));
  OK(cudaEventRecord(event, held));
  OK(cudaStreamWaitEvent(waiting, event));
  OK(cudaLaunchHostFunc(
      waiting, [](void*) { std::this_thread::sleep_for(std::chrono::hours(1)); }, nullptr));
  std::thread(waitForever, waiting).detach();
  std::atexit([] { gate.open(); });
}
