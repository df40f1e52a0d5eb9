// A stream of the CPU device: a name for the device's one queue.
#pragma once

#include <memory>

#include "../core/backend.h"

namespace cuda_batchnorm::cpu {

class Device;

class Stream final : public cuda_batchnorm::Stream {
 public:
  explicit Stream(Device& device) : device_(device) {}

  Device& device() { return device_; }

  void upload(void* destination, DType to, const void* host, DType from, int64_t count) override;
  void download(void* host, DType to, const void* source, DType from, int64_t count) override;
  void copy(void* destination, const void* source, size_t bytes) override;
  void fill(void* destination, DType dtype, int64_t count, double value) override;
  std::unique_ptr<Event> record() override;
  void wait(const Event&) override {}  // one queue has one order
  void notify(Completion completion) override;
  void synchronize() override;

 private:
  Device& device_;
};

}  // namespace cuda_batchnorm::cpu
