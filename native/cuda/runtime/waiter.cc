#include "waiter.h"

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "../../core/error.h"

namespace cuda_batchnorm::cuda {

Waiter::~Waiter() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Waiter::submit(std::vector<SharedEvent> events, Completion completion) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread(&Waiter::loop, this);
    } catch (const std::system_error& error) {
      throw Error(ErrorCode::OutOfMemory, std::string("Expected the system to grant one more thread but received: ") + error.what());
    }
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back({std::move(events), std::move(completion)});
  }
  changed_.notify_all();
}

void Waiter::drain() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return jobs_.empty(); });
}

void Waiter::loop() {
  quietly(cudaSetDevice(device_));
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job& job = jobs_.front();  // stays where it is while others come behind it
    lock.unlock();
    run(job);
    lock.lock();
    jobs_.pop_front();
    if (jobs_.empty()) changed_.notify_all();
  }
}

void Waiter::run(Job& job) {
  std::exception_ptr error;
  try {
    for (const SharedEvent& event : job.events) CUDA_CHECK(cudaEventSynchronize(event->get()));
  } catch (...) {
    error = std::current_exception();
  }
  job.completion(error);
  job = {};  // what it holds is given up before anybody hears that all is done
}

}  // namespace cuda_batchnorm::cuda
