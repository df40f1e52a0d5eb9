// A queue of work of one device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "../../core/backend.h"
#include "../kernels/arguments.h"
#include "lane.h"
#include "staging.h"

namespace cuda_batchnorm::cuda {

class Device;

class Stream final : public cuda_batchnorm::Stream {
 public:
  explicit Stream(Device& device);
  ~Stream() override;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // For the operations of a backend: use() first, with all the memory they touch, then the handle.
  Device& device() { return device_; }
  cudaStream_t handle() const { return lane_->handle(); }
  const std::shared_ptr<Lane>& lane() const { return lane_; }
  // Makes the device the thread's current one, and keeps the memory until the work queued next is done, in order with the
  // streams that made it. Throws ErrorCode::State where a graph is captured on another stream.
  void use(std::initializer_list<const void*> memory) { use(memory.begin(), memory.end()); }
  void use(const void* const* first, const void* const* last);
  // kMeetingCounters of them, in device memory, zero; kernels leave them so. No other stream uses them.
  uint32_t* counters();
  // At least so many bytes of device memory for one operation, of which the next one may make something else. No other stream uses them.
  void* exchange(size_t bytes);

  void upload(void* destination, DType to, const void* host, DType from, int64_t count) override;
  void download(void* host, DType to, const void* source, DType from, int64_t count) override;
  void copy(void* destination, const void* source, size_t bytes) override;
  void fill(void* destination, DType dtype, int64_t count, double value) override;
  std::unique_ptr<Event> record() override;
  void wait(const Event& event) override;
  void notify(Completion completion) override;
  void synchronize() override;

 private:
  // What is on its way to the caller's memory.
  struct Arrival {
    Pinned staged;
    void* host;
    size_t bytes;
  };

  void begin(const char* action) const;
  void adopt(const void* memory);
  void* allocateOwn(size_t bytes);
  static void deliver(const std::vector<Arrival>& arrivals);

  Device& device_;
  std::shared_ptr<Lane> lane_;
  uint32_t* counters_ = nullptr;
  void* exchange_ = nullptr;
  size_t exchangeBytes_ = 0;
  std::vector<Arrival> arrivals_;  // until somebody waits for them
};

// Memory for one operation of the stream, which goes back, in the order of the stream, when it goes out of scope. Null for no bytes.
class Scratch {
 public:
  Scratch(Stream& stream, size_t bytes);

  char* memory() const { return memory_.get(); }

 private:
  struct Release {
    Device& device;
    void operator()(char* memory) const noexcept;
  };

  std::unique_ptr<char, Release> memory_;
};

}  // namespace cuda_batchnorm::cuda
