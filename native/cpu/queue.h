// One thread that runs tasks in the order they were queued. It starts with the first task.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cuda_batchnorm::cpu {

// All methods but the tasks themselves are called from one thread.
class Queue {
 public:
  using Task = std::function<void()>;

  Queue() = default;
  ~Queue();  // runs what is queued first
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void submit(Task task);

  // Whether everything queued is done; its effects are then visible to the caller.
  bool idle() const { return completed_.load() == submitted_.load(std::memory_order_relaxed); }
  void wait();

  // The first error a task ended with since the last call. For a task on the queue, or while the queue is idle.
  std::exception_ptr takeError();

 private:
  void start();
  void loop();
  void run(Task& task);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<Task> incoming_;  // this and the next two: under mutex_
  bool sleeping_ = false;
  bool stopping_ = false;

  std::atomic<uint64_t> submitted_{0};
  std::atomic<uint64_t> completed_{0};
  std::atomic<bool> waiting_{false};  // somebody sleeps in wait()
  std::exception_ptr error_;          // the queue thread's, except while idle
  std::thread thread_;
};

}  // namespace cuda_batchnorm::cpu
