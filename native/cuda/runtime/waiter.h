// Tells when work of the device is done, without keeping anybody waiting: a thread that sleeps until an event comes.
//
// Not by cudaLaunchHostFunc: after a failure of the device CUDA no longer calls host functions, and promises would stay open.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "../../core/backend.h"
#include "event_handle.h"

namespace cuda_batchnorm::cuda {

class Waiter {
 public:
  explicit Waiter(int device) : device_(device) {}
  ~Waiter();  // after the last completion
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Calls `completion` on the thread once all the events have come, and the completions that were asked for before are called.
  void submit(std::vector<SharedEvent> events, Completion completion);
  // Waits until all completions are called.
  void drain();

 private:
  struct Job {
    std::vector<SharedEvent> events;
    Completion completion;
  };

  void loop();
  static void run(Job& job);

  const int device_;
  std::thread thread_;  // started by the first job
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the first one is at work
  bool stopping_ = false;
};

}  // namespace cuda_batchnorm::cuda
