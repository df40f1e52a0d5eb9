// Threads that run numbered tasks. Results must not depend on which thread runs a task, or on how many threads there are.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace cuda_batchnorm::cpu {

// In which direction a thread goes through its own tasks.
enum class Order { Forward, Backward };

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // counting the calling thread
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls task(0) ... task(count - 1), each once, on all threads, and returns when all are done. One caller at a time.
  // Tasks must not throw.
  //
  // Each thread begins with its own equal range, the same one every time, and helps the others when it is through: what it worked on
  // last time is still in its core's cache, and cores need not share one. Backward begins with what was worked on last.
  void run(int64_t count, const std::function<void(int64_t)>& task, Order order = Order::Forward);

 private:
  using Task = std::function<void(int64_t)>;

  void startWorkers();
  void keepWorkersAway();
  void work(int self);
  void takeTasks(int self, const Task& task);
  void openJob(int64_t count, const Task& task, Order order);
  void closeJob();

  // One thread's range of the open job.
  struct alignas(64) Range {
    int64_t begin = 0;
    int64_t end = 0;
    std::atomic<int64_t> taken{0};
  };

  const int threads_;
  std::vector<Range> ranges_;  // written under mutex_ while nobody is inside
  std::vector<std::thread> workers_;
  int openersCore_ = -1;  // that workers keep off

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable left_;
  const Task* task_ = nullptr;  // of the open job; null between jobs. Under mutex_; order_ is written while nobody is inside
  Order order_ = Order::Forward;
  int sleeping_ = 0;       // under mutex_
  bool stopping_ = false;  // under mutex_

  std::atomic<uint64_t> job_{0};  // number of the newest job
  std::atomic<int> inside_{0};    // workers that entered the newest job and have not left it
};

}  // namespace cuda_batchnorm::cpu
