// A CUDA event: it says when work is done and, where it keeps the time, how long it took.
#pragma once

#include <memory>
#include <utility>

#include "../../core/backend.h"
#include "check.h"

namespace cuda_batchnorm::cuda {

class EventHandle {
 public:
  // Threads that wait for it sleep.
  explicit EventHandle(Timing timing = Timing::No) {
    const unsigned int flags = cudaEventBlockingSync | (timing == Timing::Yes ? 0U : cudaEventDisableTiming);
    CUDA_CHECK(cudaEventCreateWithFlags(&event_, flags));
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
