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

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // counting the calling thread
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls task(0) ... task(count - 1), each once, on all threads, and returns when all are done. One caller at a time.
  // Tasks must not throw.
  void run(int64_t count, const std::function<void(int64_t)>& task);

 private:
  using Task = std::function<void(int64_t)>;

  void startWorkers();
  void work();
  void takeTasks(const Task& task, int64_t count);
  void openJob(int64_t count, const Task& task);
  void closeJob();

  const int threads_;
  std::vector<std::thread> workers_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable left_;
  const Task* task_ = nullptr;  // of the open job; null between jobs. This and the next three: under mutex_
  int64_t count_ = 0;
  int sleeping_ = 0;
  bool stopping_ = false;

  std::atomic<uint64_t> job_{0};  // number of the newest job
  std::atomic<int64_t> next_{0};  // first task nobody has taken
  std::atomic<int> inside_{0};    // workers that entered the newest job and have not left it
};

}  // namespace cuda_batchnorm::cpu
