// Missing waits between streams are faults by name, however the timing works out; waits of every kind are understood.
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

struct Streams {
  cudaStream_t first = newStream();
  cudaStream_t second = newStream();
  cudaEvent_t event = newEvent();
  float* memory = newFloats(32);

  void order() const {
    OK(cudaEventRecord(event, first));
    OK(cudaStreamWaitEvent(second, event));
  }
  ~Streams() {
    cudaFree(memory);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
    cudaEventDestroy(event);
    reset();
  }
};

// How streams are numbered in messages: in the order in which they are made.
std::string nameOf(int stream) { return " on stream " + std::to_string(stream); }
int streamsMade = 0;

// `work` queues something that is not ordered with something else; the fault says "... <does>" and "... <did>".
template <class Work>
void isMissed(const std::string& does, const std::string& did, const Work& work) {
  const Streams streams;
  const int first = ++streamsMade;
  const int second = ++streamsMade;
  work(streams);
  FAILS(cudaErrorAssert, cudaDeviceSynchronize());
  const std::string fault = lastFault();
  const bool told =
      contains(fault, "missing stream wait: ") && ((contains(fault, does + nameOf(second)) && contains(fault, did + nameOf(first))) ||
                                                   (contains(fault, does + nameOf(first)) && contains(fault, did + nameOf(second))));
  if (!told) std::fprintf(stderr, "%s\n", fault.c_str());
  CHECK(told);
}

template <class Work>
void isRight(const Work& work) {
  {
    const Streams streams;
    streamsMade += 2;
    work(streams);
    OK(cudaDeviceSynchronize());
  }
  CHECK(lastFault().empty());
}

void writesAndReadsAreOrdered() {
  isMissed("add", "fill", [](const Streams& s) {
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    letStreamsWork();
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
  isMissed("fill", "fill", [](const Streams& s) {
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    letStreamsWork();
    OK(launch(fill, s.second, {nullptr, s.memory, 32}));
  });
  isMissed("cudaMemsetAsync", "cudaMemcpyAsync", [](const Streams& s) {
    float* pinned = nullptr;
    OK(cudaMallocHost(&pinned, 128));
    OK(cudaMemcpyAsync(pinned, s.memory, 128, cudaMemcpyDeviceToHost, s.first));
    letStreamsWork();
    OK(cudaMemsetAsync(s.memory, 0, 128, s.second));
    letStreamsWork();
    cudaFreeHost(pinned);
  });
}

// The reader comes too early, and finds nothing; the writer is held back until it has.
void tooEarlyIsMissedToo() {
  Gate gate;
  isMissed("fill", "add", [&](const Streams& s) {
    gate.hold(s.first);
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
    letStreamsWork(s.first);
    gate.open();
  });
}

void readersNeedNoOrder() {
  isRight([](const Streams& s) {
    float* const sum = newFloats(32);
    OK(cudaMemset(s.memory, 0, 128));
    float* const other = newFloats(32);
    OK(launch(add, s.first, {s.memory, sum, 32}));
    OK(launch(add, s.second, {s.memory, other, 32}));
    OK(cudaFree(sum));
    OK(cudaFree(other));
  });
  isRight([](const Streams& s) {  // halves
    OK(cudaMemsetAsync(s.memory, 0, 64, s.first));
    OK(cudaMemsetAsync(s.memory + 16, 0, 64, s.second));
  });
}

void waitsAreUnderstood() {
  isRight([](const Streams& s) {
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    s.order();
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
  isRight([](const Streams& s) {
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    OK(cudaStreamSynchronize(s.first));
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
  isRight([](const Streams& s) {
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    OK(cudaEventRecord(s.event, s.first));
    while (cudaEventQuery(s.event) == cudaErrorNotReady) std::this_thread::yield();
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
  isRight([](const Streams& s) {  // a host function tells the host
    std::atomic<bool> told{false};
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    OK(cudaLaunchHostFunc(
        s.first, [](void* flag) { *static_cast<std::atomic<bool>*>(flag) = true; }, &told));
    while (!told) std::this_thread::yield();
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
  isRight([](const Streams& s) {  // by way of a third
    const cudaStream_t third = newStream();
    ++streamsMade;
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    OK(cudaEventRecord(s.event, s.first));
    OK(cudaStreamWaitEvent(third, s.event));
    OK(cudaEventRecord(s.event, third));
    OK(cudaStreamWaitEvent(s.second, s.event));
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
    OK(cudaStreamDestroy(third));
  });
  isMissed("add", "add", [](const Streams& s) {  // the event was recorded before the last kernel
    OK(launch(fill, s.first, {nullptr, s.memory, 32}));
    s.order();
    OK(launch(add, s.first, {s.memory, s.memory, 32}));
    letStreamsWork();
    OK(launch(add, s.second, {s.memory, s.memory, 32}));
  });
}

void newStreamsKnowNothingOfOldOnes() {
  const Streams streams;
  streamsMade += 2;
  const cudaStream_t old = newStream();
  OK(launch(fill, old, {nullptr, streams.memory, 32}));
  OK(cudaStreamDestroy(old));
  letStreamsWork();
  const cudaStream_t recent = newStream();
  OK(launch(fill, recent, {nullptr, streams.memory, 32}));
  FAILS(cudaErrorAssert, cudaDeviceSynchronize());
  CHECK(contains(lastFault(), "missing stream wait: fill on stream " + std::to_string(streamsMade + 2)));
  streamsMade += 2;
  cudaStreamDestroy(recent);
}

void memoryIsOrderedFromBirthToDeath() {
  isMissed("fill", "cudaMallocAsync", [](const Streams& s) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, s.first));
    OK(launch(fill, s.second, {nullptr, memory, 32}));
    letStreamsWork();
    cudaFreeAsync(memory, s.second);
  });
  isMissed("cudaFreeAsync", "fill", [](const Streams& s) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, s.first));
    s.order();
    OK(launch(fill, s.second, {nullptr, memory, 32}));
    letStreamsWork();
    OK(cudaFreeAsync(memory, s.first));
  });
  isMissed("fill", "cudaFreeAsync", [](const Streams& s) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, s.first));
    s.order();
    OK(cudaFreeAsync(memory, s.first));
    letStreamsWork();
    OK(cudaMemsetAsync(s.memory, 0, 4, s.second));
    OK(launch(fill, s.second, {nullptr, memory, 32}));
  });
  isRight([](const Streams& s) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, s.first));
    s.order();
    OK(launch(fill, s.second, {nullptr, memory, 32}));
    OK(cudaFreeAsync(memory, s.second));
  });
}

void freeDoesNotWaitForMemoryOfPools() {
  const Streams streams;
  streamsMade += 2;
  float* memory = nullptr;
  OK(cudaMallocAsync(&memory, 128, streams.first));
  OK(launch(fill, streams.first, {nullptr, memory, 32}));
  letStreamsWork();
  FAILS(cudaErrorAssert, cudaFree(memory));
  CHECK(contains(lastFault(), "missing stream wait: cudaFree by the host frees memory that fill on stream "));
}

void usesAfterFreeAreFaults() {
  const Streams streams;
  streamsMade += 2;
  float* memory = nullptr;
  OK(cudaMallocAsync(&memory, 128, streams.first));
  OK(cudaFreeAsync(memory, streams.first));
  OK(cudaMemsetAsync(memory, 0, 128, streams.first));
  FAILS(cudaErrorIllegalAddress, cudaStreamSynchronize(streams.first));
  CHECK(contains(lastFault(), "use after free: cudaMemsetAsync on stream ") && contains(lastFault(), "that cudaFreeAsync on stream "));
}

// Two branches of a graph write the same memory, or do not.
void branchesOfGraphsAreOrderedToo(bool joined) {
  const Streams streams;
  streamsMade += 2;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  OK(cudaStreamBeginCapture(streams.first, cudaStreamCaptureModeRelaxed));
  OK(cudaMemsetAsync(streams.memory, 0, 128, streams.first));
  streams.order();
  OK(launch(add, streams.second, {streams.memory, streams.memory, 32}));
  OK(cudaEventRecord(streams.event, streams.second));
  if (joined) OK(cudaStreamWaitEvent(streams.first, streams.event));
  OK(launch(fill, streams.first, {nullptr, streams.memory, 32}));
  if (!joined) OK(cudaStreamWaitEvent(streams.first, streams.event));
  OK(cudaStreamEndCapture(streams.first, &graph));
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  OK(cudaGraphLaunch(exec, streams.first));
  OK(cudaGraphLaunch(exec, streams.second));  // launches of one graph follow each other
  CHECK(cudaDeviceSynchronize() == (joined ? cudaSuccess : cudaErrorAssert));
  if (!joined) CHECK(contains(lastFault(), "missing stream wait: fill on stream ") && contains(lastFault(), "that add on stream "));
  cudaGraphExecDestroy(exec);
}

void pinnedMemoryIsOrdered() {
  isMissed("cudaMemcpyAsync", "cudaMemcpyAsync", [](const Streams& s) {
    float* pinned = nullptr;
    float* const other = newFloats(32);
    OK(cudaMallocHost(&pinned, 128));
    OK(cudaMemcpyAsync(pinned, s.memory, 128, cudaMemcpyDeviceToHost, s.first));
    letStreamsWork();
    OK(cudaMemcpyAsync(other, pinned, 128, cudaMemcpyHostToDevice, s.second));
    cudaFreeHost(pinned);
    cudaFree(other);
  });
}

}  // namespace

int main() {
  writesAndReadsAreOrdered();
  tooEarlyIsMissedToo();
  readersNeedNoOrder();
  waitsAreUnderstood();
  newStreamsKnowNothingOfOldOnes();
  memoryIsOrderedFromBirthToDeath();
  freeDoesNotWaitForMemoryOfPools();
  usesAfterFreeAreFaults();
  branchesOfGraphsAreOrderedToo(true);
  CHECK(lastFault().empty());
  branchesOfGraphsAreOrderedToo(false);
  pinnedMemoryIsOrdered();
  CHECK(liveBytes() == 0 && pinnedBytes() == 0);
}
