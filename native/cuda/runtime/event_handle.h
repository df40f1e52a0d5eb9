// A CUDA event that says when work is done, and never how long it took.
#pragma once

#include <memory>
#include <utility>

#include "check.h"

namespace cuda_batchnorm::cuda {

class EventHandle {
 public:
  // Threads that wait for it sleep.
  EventHandle() { CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventBlockingSync | cudaEventDisableTiming)); }
  ~EventHandle() {
    if (event_ != nullptr) quietly(cudaEventDestroy(event_));
  }
  EventHandle(EventHandle&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  EventHandle& operator=(EventHandle&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }

  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

using SharedEvent = std::shared_ptr<const EventHandle>;

}  // namespace cuda_batchnorm::cuda
