#include "stream.h"

#include <cstring>
#include <utility>

#include "../kernels/conversion.h"
#include "device.h"

namespace cuda_batchnorm::cuda {
namespace {

// A place in the order of a stream.
class Place final : public Event {
 public:
  explicit Place(std::shared_ptr<Lane> lane) : lane_(std::move(lane)), event_(lane_->mark(EventHandle::Timing::Yes)) {}

  cudaEvent_t get() const { return event_->get(); }
  void notify(Completion completion) override { lane_->waiter().submit({event_}, std::move(completion)); }
  double since(const Event& earlier) const override {
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, static_cast<const Place&>(earlier).get(), get()));
    return static_cast<double>(milliseconds);
  }

 private:
  const std::shared_ptr<Lane> lane_;
  const SharedEvent event_;
};

size_t sizeOf(DType dtype, int64_t count) { return static_cast<size_t>(count) * cuda_batchnorm::sizeOf(dtype); }

}  // namespace

Stream::Stream(Device& device) : device_(device), lane_(device.openLane()) {}

Stream::~Stream() {
  if (counters_ != nullptr) device_.release(counters_);
  if (exchange_ != nullptr) device_.release(exchange_);
}

void Stream::use(const void* const* first, const void* const* last) {
  device_.select();
  Recording* const recording = device_.recording();
  if (recording != nullptr) {
    recording->use(*this, first, last);
  } else if (!device_.hasOneLane()) {
    for (; first != last; ++first) device_.pool().use(*first, lane_);
  }
}

void Stream::adopt(const void* memory) {
  if (!device_.hasOneLane()) device_.pool().adopt(memory, lane_);
}

// Is there as long as the stream, and as long as a graph that is captured there.
void* Stream::allocateOwn(size_t bytes) {
  device_.select();
  void* const memory = device_.pool().allocate(bytes, device_.homeOf(this), Memory::Count::No);
  try {
    if (device_.recording() != nullptr) use({memory});
  } catch (...) {
    device_.release(memory);
    throw;
  }
  return memory;
}

uint32_t* Stream::counters() {
  constexpr size_t kBytes = kMeetingCounters * sizeof(uint32_t);
  if (counters_ == nullptr) {
    void* const memory = allocateOwn(kBytes);
    try {
      CUDA_CHECK(cudaMemsetAsync(memory, 0, kBytes, device_.homeOf(this)->handle()));
    } catch (...) {
      device_.release(memory);
      throw;
    }
    counters_ = static_cast<uint32_t*>(memory);  // only when they are zero
  }
  return counters_;
}

// Work that is queued or captured uses what there was before: its release is in the order of the stream, and a graph keeps it.
void* Stream::exchange(size_t bytes) {
  if (bytes > exchangeBytes_) {
    void* const memory = allocateOwn(bytes);
    if (exchange_ != nullptr) device_.release(exchange_);
    exchange_ = memory;
    exchangeBytes_ = bytes;
  }
  return exchange_;
}

void Stream::begin(const char* action) const {
  device_.select();
  device_.refuseWhileRecording(action);
}

void Stream::upload(void* destination, DType to, const void* host, DType from, int64_t count) {
  begin("upload");
  if (count == 0) return;
  adopt(destination);
  const size_t bytes = sizeOf(from, count);
  Pinned staged = device_.staging().take(bytes);
  std::memcpy(staged.memory(), host, bytes);
  const auto copyTo = [&](void* memory) {
    CUDA_CHECK(cudaMemcpyAsync(memory, staged.memory(), bytes, cudaMemcpyHostToDevice, handle()));
    staged.usedOn(handle());
  };
  if (to == from) return copyTo(destination);
  const Scratch values(*this, bytes);
  copyTo(values.memory());
  convert(handle(), destination, to, values.memory(), from, count);
}

void Stream::download(void* host, DType to, const void* source, DType from, int64_t count) {
  begin("download");
  if (count == 0) return;
  adopt(source);
  const size_t bytes = sizeOf(to, count);
  Pinned staged = device_.staging().take(bytes);
  const auto copyFrom = [&](const void* memory) {
    CUDA_CHECK(cudaMemcpyAsync(staged.memory(), memory, bytes, cudaMemcpyDeviceToHost, handle()));
    staged.usedOn(handle());
  };
  if (to == from) {
    copyFrom(source);
  } else {
    const Scratch values(*this, bytes);
    convert(handle(), values.memory(), to, source, from, count);
    copyFrom(values.memory());
  }
  arrivals_.push_back({std::move(staged), host, bytes});
}

void Stream::copy(void* destination, const void* source, size_t bytes) {
  use({destination, source});
  if (device_.recording() == nullptr) {
    adopt(source);
    adopt(destination);
  }
  if (bytes > 0) CUDA_CHECK(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, handle()));
}

void Stream::fill(void* destination, DType dtype, int64_t count, double value) {
  use({destination});
  if (count > 0) cuda::fill(handle(), destination, dtype, count, value);
}

std::unique_ptr<Event> Stream::record() {
  begin("event");
  return std::make_unique<Place>(lane_);
}

void Stream::wait(const Event& event) {
  begin("wait");
  CUDA_CHECK(cudaStreamWaitEvent(handle(), static_cast<const Place&>(event).get(), 0));
}

void Stream::notify(Completion completion) {
  begin("wait");
  const auto arrivals = std::make_shared<std::vector<Arrival>>(std::exchange(arrivals_, {}));
  lane_->waiter().submit({lane_->mark()}, [arrivals, completion = std::move(completion)](const std::exception_ptr& error) {
    if (error == nullptr) deliver(*arrivals);
    arrivals->clear();
    completion(error);
  });
}

void Stream::synchronize() {
  begin("wait");
  std::vector<Arrival> arrivals = std::exchange(arrivals_, {});
  CUDA_CHECK(cudaStreamSynchronize(handle()));
  deliver(arrivals);
}

void Stream::deliver(const std::vector<Arrival>& arrivals) {
  for (const Arrival& arrival : arrivals) std::memcpy(arrival.host, arrival.staged.memory(), arrival.bytes);
}

void Scratch::Release::operator()(char* memory) const noexcept { device.release(memory); }

Scratch::Scratch(Stream& stream, size_t bytes) : memory_(nullptr, Release{stream.device()}) {
  if (bytes == 0) return;
  Device& device = stream.device();
  memory_.reset(static_cast<char*>(device.allocate(bytes, &stream)));
  if (device.recording() != nullptr) stream.use({memory()});
}

}  // namespace cuda_batchnorm::cuda
