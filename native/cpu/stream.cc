#include "stream.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>

#include "batch_norm.h"
#include "device.h"
#include "sanitizer.h"

namespace cuda_batchnorm::cpu {
namespace {

// Up to here copying takes less time than waking the queue.
constexpr size_t kSmallCopy = size_t{32} << 10;
// Bytes one task copies or fills.
constexpr size_t kPiece = size_t{256} << 10;

void copyOnThreads(ThreadPool& threads, void* destination, const void* source, size_t bytes) {
  const auto pieces = static_cast<int64_t>((bytes + kPiece - 1) / kPiece);
  threads.run(pieces, [=](int64_t piece) {
    const size_t begin = static_cast<size_t>(piece) * kPiece;
    copyBytes(static_cast<char*>(destination) + begin, static_cast<const char*>(source) + begin, std::min(kPiece, bytes - begin));
  });
}

template <typename T>
void fillOnThreads(ThreadPool& threads, void* destination, int64_t count, const void* pattern) {
  constexpr auto kPieceValues = static_cast<int64_t>(kPiece / sizeof(T));
  T value;
  std::memcpy(&value, pattern, sizeof value);
  threads.run((count + kPieceValues - 1) / kPieceValues, [=](int64_t piece) {
    const int64_t begin = piece * kPieceValues;
    std::fill_n(static_cast<T*>(destination) + begin, std::min(kPieceValues, count - begin), value);
  });
}

// Hears of its place no earlier than of the end of the queue, which is right, and for a CPU soon enough.
class PlaceInQueue final : public Event {
 public:
  explicit PlaceInQueue(Stream& stream) : device_(stream.device()) {
    device_.queue().submit([time = time_] { *time = Clock::now(); });
  }
  void notify(Completion completion) override { device_.notify(std::move(completion)); }
  double since(const Event& earlier) const override {
    return std::chrono::duration<double, std::milli>(*time_ - *static_cast<const PlaceInQueue&>(earlier).time_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;

  Device& device_;
  const std::shared_ptr<Clock::time_point> time_ = std::make_shared<Clock::time_point>();
};

}  // namespace

void Stream::upload(void* destination, DType to, const void* host, DType from, int64_t count) {
  if (count == 0) return;
  const size_t bytes = static_cast<size_t>(count) * sizeOf(from);
  if (to == from && device_.queue().idle()) {
    copyBytes(destination, host, bytes);
    return;
  }
  device_.queue().submit([=, &threads = device_.threads(), values = device_.staging().copy(host, bytes)] {
    convert(threads, destination, to, values.get(), from, count);
  });
}

void Stream::download(void* host, DType to, const void* source, DType from, int64_t count) {
  if (count == 0) return;
  const size_t bytes = static_cast<size_t>(count) * sizeOf(from);
  if (to == from && bytes <= kSmallCopy && device_.queue().idle()) {
    copyBytes(host, source, bytes);
    return;
  }
  device_.queue().submit([=, &threads = device_.threads()] { convert(threads, host, to, source, from, count); });
}

void Stream::copy(void* destination, const void* source, size_t bytes) {
  device_.queue().submit([=, &threads = device_.threads()] { copyOnThreads(threads, destination, source, bytes); });
}

void Stream::fill(void* destination, DType dtype, int64_t count, double value) {
  device_.queue().submit([=, &threads = device_.threads()] {
    uint64_t pattern = 0;
    convert(threads, &pattern, dtype, &value, DType::Float64, 1);
    switch (sizeOf(dtype)) {
      case 2:
        return fillOnThreads<uint16_t>(threads, destination, count, &pattern);
      case 4:
        return fillOnThreads<uint32_t>(threads, destination, count, &pattern);
      default:
        return fillOnThreads<uint64_t>(threads, destination, count, &pattern);
    }
  });
}

std::unique_ptr<Event> Stream::record() { return std::make_unique<PlaceInQueue>(*this); }

void Stream::notify(Completion completion) {
  device_.queue().submit([&queue = device_.queue(), completion = std::move(completion)] { completion(queue.takeError()); });
}

void Stream::synchronize() {
  device_.queue().wait();
  if (const std::exception_ptr error = device_.queue().takeError()) std::rethrow_exception(error);
}

}  // namespace cuda_batchnorm::cpu
