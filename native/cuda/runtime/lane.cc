#include "lane.h"

#include <algorithm>

namespace cuda_batchnorm::cuda {

Lane::Lane(int device, Lanes& lanes) : device_(device), lanes_(lanes), waiter_(device) {
  lanes_.reserve(lanes_.size() + 1);
  // Not ordered with the stream that CUDA has by default, which other libraries in this process may use.
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  lanes_.push_back(this);
}

// CUDA finishes the work of a stream that is destroyed.
Lane::~Lane() {
  if (companion_ != nullptr) {
    quietly(cudaSetDevice(device_));
    companion_.reset();
  }
  lanes_.erase(std::find(lanes_.begin(), lanes_.end(), this));
  quietly(cudaStreamDestroy(stream_));
}

void Lane::follow(const Lane& other) {
  CUDA_CHECK(cudaEventRecord(other.place_.get(), other.stream_));
  CUDA_CHECK(cudaStreamWaitEvent(stream_, other.place_.get(), 0));
}

SharedEvent Lane::mark(EventHandle::Timing timing) const {
  auto event = std::make_shared<const EventHandle>(timing);
  CUDA_CHECK(cudaEventRecord(event->get(), stream_));
  return event;
}

}  // namespace cuda_batchnorm::cuda
