// A CUDA stream, which lives as long as anything must be kept in order with it: a Stream, events, blocks of memory.
#pragma once

#include <memory>
#include <vector>

#include "event_handle.h"
#include "waiter.h"

namespace cuda_batchnorm::cuda {

class Lane;
using Lanes = std::vector<Lane*>;  // those of one device

class Lane {
 public:
  Lane(int device, Lanes& lanes);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  cudaStream_t handle() const { return stream_; }
  Waiter& waiter() { return waiter_; }
  // What a library keeps for this stream; destroyed before it.
  std::shared_ptr<void>& companion() { return companion_; }

  // What is queued here from now on follows what was queued there up to now.
  void follow(const Lane& other);
  // An event behind what was queued up to now.
  SharedEvent mark(EventHandle::Timing timing = EventHandle::Timing::No) const;

 private:
  const int device_;
  Lanes& lanes_;
  std::shared_ptr<void> companion_;
  cudaStream_t stream_ = nullptr;
  EventHandle place_;  // for follow(): a stream that waits for it takes it as it was last recorded, so that one serves all
  Waiter waiter_;
};

}  // namespace cuda_batchnorm::cuda
