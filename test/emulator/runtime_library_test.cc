// Work of libraries is done in the order of streams, repeated by graphs, and watched as kernels are.
#include "library_work.h"
#include "runtime_test.h"

namespace {

using namespace cuda_batchnorm::emulator;

struct Fixture {
  cudaStream_t stream = newStream();
  cudaStream_t other = newStream();
  float* memory = newFloats(32);

  ~Fixture() {
    cudaDeviceSynchronize();
    cudaFree(memory);
    cudaStreamDestroy(stream);
    cudaStreamDestroy(other);
    reset();
  }
};

std::string words;

// Adds 1 to so many floats.
cudaError_t increment(cudaStream_t stream, const float* memory, size_t count, const std::string& complaint = "") {
  const auto run = [=](const std::vector<char*>& addresses) {
    auto* const values = reinterpret_cast<float*>(addresses[0]);
    for (size_t i = 0; i < count; ++i) values[i] += 1;
    return complaint;
  };
  words.clear();
  return queueLibraryWork({"increment", stream, {{"values", memory, 4 * count, Access::ReadWrite}}, run}, &words);
}

void runsInOrder() {
  const Fixture fixture;
  Gate gate;
  gate.hold(fixture.stream);
  OK(cudaMemsetAsync(fixture.memory, 0, 128, fixture.stream));
  OK(increment(fixture.stream, fixture.memory, 32));
  OK(launch(add, fixture.stream, {fixture.memory, fixture.memory, 32}));
  OK(increment(fixture.stream, fixture.memory + 16, 16));
  gate.open();
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(read(fixture.memory, 32)[15] == 2.0f && read(fixture.memory, 32)[16] == 3.0f);
  OK(increment(nullptr, fixture.memory, 32));  // the default stream has done it when the call returns
  CHECK(read(fixture.memory, 32)[0] == 3.0f);
}

void graphsRepeatIt() {
  const Fixture fixture;
  OK(cudaMemset(fixture.memory, 0, 128));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  OK(cudaStreamBeginCapture(fixture.stream, cudaStreamCaptureModeRelaxed));
  OK(increment(fixture.stream, fixture.memory, 32));
  OK(cudaStreamEndCapture(fixture.stream, &graph));
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  CHECK(read(fixture.memory, 32)[31] == 0.0f);
  for (int i = 0; i < 3; ++i) OK(cudaGraphLaunch(exec, i == 1 ? fixture.other : fixture.stream));
  OK(cudaDeviceSynchronize());
  CHECK(read(fixture.memory, 32)[31] == 3.0f);
  OK(cudaGraphExecDestroy(exec));
}

// `work` goes wrong on the device, in these words.
template <class Work>
void faults(const std::string& told, const Work& work) {
  const Fixture fixture;
  work(fixture);
  CHECK(cudaDeviceSynchronize() != cudaSuccess);
  if (!contains(lastFault(), told)) std::fprintf(stderr, "%s\n", lastFault().c_str());
  CHECK(contains(lastFault(), told));
}

void isWatched() {
  faults("uninitialised read: increment reads values, not all of whose 128 bytes were written", [](const Fixture& f) {
    OK(cudaMemset(f.memory, 0, 124));
    OK(increment(f.stream, f.memory, 32));
  });
  faults("missing stream wait: increment on stream ", [](const Fixture& f) {
    OK(cudaMemsetAsync(f.memory, 0, 128, f.stream));
    letStreamsWork();
    OK(increment(f.other, f.memory, 32));
  });
  faults("use after free: increment on stream ", [](const Fixture& f) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, f.stream));
    OK(cudaFreeAsync(memory, f.stream));
    OK(increment(f.stream, memory, 32));
  });
  faults("missing stream wait: cudaFreeAsync on stream ", [](const Fixture& f) {
    float* memory = nullptr;
    OK(cudaMallocAsync(&memory, 128, f.stream));
    OK(cudaMemsetAsync(memory, 0, 128, f.stream));
    OK(increment(f.stream, memory, 32));
    letStreamsWork();
    OK(cudaFreeAsync(memory, f.other));
  });
  faults("misuse of a library: increment: no such thing", [](const Fixture& f) {
    OK(cudaMemset(f.memory, 0, 128));
    OK(increment(f.stream, f.memory, 32, "no such thing"));
  });
}

void writesInitialise() {
  const Fixture fixture;
  const auto write = [](const std::vector<char*>& addresses) {
    std::fill_n(addresses[0], 128, '\0');
    return std::string();
  };
  OK(queueLibraryWork({"clear", fixture.stream, {{"values", fixture.memory, 128, Access::Write}}, write}, &words));
  OK(increment(fixture.stream, fixture.memory, 32));
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(read(fixture.memory, 32)[31] == 1.0f);
}

void refusesInWords() {
  const Fixture fixture;
  OK(cudaMemset(fixture.memory, 0, 128));
  const float onHost = 0;
  FAILS(cudaErrorInvalidValue, increment(fixture.stream, &onHost, 1));
  CHECK(contains(words, "values: an address of no allocation"));
  FAILS(cudaErrorInvalidValue, increment(fixture.stream, fixture.memory + 31, 2));
  CHECK(contains(words, "values: 8 bytes from byte 124 of memory that has 128"));
  failNth(FailureKind::Launch, 1);
  FAILS(cudaErrorLaunchOutOfResources, increment(fixture.stream, fixture.memory, 32));
  OK(cudaStreamSynchronize(fixture.stream));
  CHECK(read(fixture.memory, 32)[0] == 0.0f);
}

}  // namespace

int main() {
  runsInOrder();
  graphsRepeatIt();
  isWatched();
  writesInitialise();
  refusesInWords();
  CHECK(liveBytes() == 0 && lastFault().empty());
}
