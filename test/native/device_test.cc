// The CPU device as its users see it: streams, memory in the order of the work, errors.
#include "../../native/cpu/device.h"

#include <atomic>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#include "../../native/cpu/backend.h"
#include "check.h"

namespace {

using namespace cuda_batchnorm;

constexpr int64_t kCount = 300001;  // several pieces, the last one ragged
constexpr size_t kBytes = kCount * sizeof(float);

// Keeps the queue busy until opened.
class Gate {
 public:
  explicit Gate(cpu::Device& device) {
    device.queue().submit([this] {
      while (!open_) std::this_thread::yield();
    });
  }
  void open() { open_ = true; }

 private:
  std::atomic<bool> open_{false};
};

std::vector<float> ramp() {
  std::vector<float> values(kCount);
  for (int64_t index = 0; index < kCount; ++index) values[static_cast<size_t>(index)] = static_cast<float>(index);
  return values;
}

std::vector<float> downloaded(cpu::Device& device, const void* block) {
  std::vector<float> values(kCount);
  device.defaultStream().download(values.data(), DType::Float32, block, DType::Float32, kCount);
  device.synchronize();
  return values;
}

void movesData() {
  cpu::Device device;
  Stream& stream = device.defaultStream();
  void* const first = device.allocate(kBytes);
  void* const second = device.allocate(kBytes);
  stream.upload(first, DType::Float32, ramp().data(), DType::Float32, kCount);
  stream.copy(second, first, kBytes);
  CHECK(downloaded(device, second) == ramp());
  stream.fill(second, DType::Float32, kCount, -2.5);
  CHECK(downloaded(device, second) == std::vector<float>(kCount, -2.5f));
  stream.fill(second, DType::Float16, 2 * kCount, 1);
  std::vector<double> ones(2 * kCount);
  stream.download(ones.data(), DType::Float64, second, DType::Float16, 2 * kCount);
  device.synchronize();
  CHECK(ones == std::vector<double>(2 * kCount, 1.0));
  device.release(first);
  device.release(second);
}

// The snapshot is taken at the call, whatever the queue is doing then.
void uploadsASnapshot() {
  cpu::Device device;
  void* const block = device.allocate(kBytes);
  Gate gate(device);
  {
    std::vector<float> values = ramp();
    device.defaultStream().upload(block, DType::Float32, values.data(), DType::Float32, kCount);
    std::fill(values.begin(), values.end(), -1.0f);
  }
  gate.open();
  CHECK(downloaded(device, block) == ramp());
  device.release(block);
}

// A block released under queued work is handed out at once; its next user's work comes later.
void keepsMemoryInOrder() {
  cpu::Device device;
  Stream& stream = device.defaultStream();
  void* const result = device.allocate(kBytes);
  void* const first = device.allocate(kBytes);
  Gate gate(device);
  stream.fill(first, DType::Float32, kCount, 1);
  stream.copy(result, first, kBytes);
  device.release(first);
  void* const second = device.allocate(kBytes);
  CHECK(second == first);
  stream.fill(second, DType::Float32, kCount, 2);
  device.release(second);
  gate.open();
  CHECK(downloaded(device, result) == std::vector<float>(kCount, 1.0f));
  device.release(result);
  CHECK(device.memory().live == 0);
  device.emptyCache();
  CHECK(device.memory().reserved == 0);
}

void trainsWithoutNewMemory() {
  cpu::Device device;
  cpu::Backend backend;
  void* const input = device.allocate(kBytes);
  void* const output = device.allocate(kBytes);
  void* const statistics = device.allocate(3 * sizeof(float));
  device.defaultStream().upload(input, DType::Float32, ramp().data(), DType::Float32, kCount);
  TrainingForward call;
  call.problem.outer = 1;
  call.problem.channels = 1;
  call.problem.inner = kCount;
  call.input = input;
  call.output = output;
  call.statistics = statistics;
  backend.trainingForward(device.defaultStream(), call);
  const size_t reserved = device.memory().reserved;
  const size_t live = device.memory().live;
  for (int step = 0; step < 50; ++step) backend.trainingForward(device.defaultStream(), call);
  CHECK(device.memory().reserved == reserved && device.memory().live == live);
  const std::vector<float> normalized = downloaded(device, output);
  CHECK(std::abs(normalized.front() + std::sqrt(3.0)) < 1e-4 && std::abs(normalized.back() - std::sqrt(3.0)) < 1e-4);
  for (void* const block : {input, output, statistics}) device.release(block);
}

void handsErrorsOnOnce() {
  cpu::Device device;
  device.queue().submit([] { throw Error(ErrorCode::OutOfMemory, "on the queue"); });
  int told = 0;
  device.notify([&told](const std::exception_ptr& error) { told += error != nullptr; });
  device.synchronize();
  CHECK(told == 1);
  device.queue().submit([] { throw Error(ErrorCode::OutOfMemory, "on the queue"); });
  CHECK(errorOf([&] { device.synchronize(); }).code() == ErrorCode::OutOfMemory);
  device.synchronize();
}

void sharesOneQueueAmongStreams() {
  cpu::Device device;
  void* const block = device.allocate(kBytes);
  const std::unique_ptr<Stream> other = device.createStream();
  for (int round = 0; round < 20; ++round) {
    device.defaultStream().fill(block, DType::Float32, kCount, round);
    other->fill(block, DType::Float32, kCount, round + 0.5);
  }
  CHECK(downloaded(device, block) == std::vector<float>(kCount, 19.5f));
  device.release(block);
}

}  // namespace

int main() {
  movesData();
  uploadsASnapshot();
  keepsMemoryInOrder();
  trainsWithoutNewMemory();
  handsErrorsOnOnce();
  sharesOneQueueAmongStreams();
}
