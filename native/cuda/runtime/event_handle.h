// A CUDA event. Threads that wait for it sleep.
#pragma once

#include <memory>
#include <utility>

#include "check.h"

namespace cuda_batchnorm::cuda {

class EventHandle {
 public:
  enum class Timing { No, Yes };

  explicit EventHandle(Timing timing = Timing::No) {
    CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventBlockingSync | (timing == Timing::Yes ? 0 : cudaEventDisableTiming)));
  }
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
