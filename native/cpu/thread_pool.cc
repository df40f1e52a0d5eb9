#include "thread_pool.h"

#include <algorithm>
#include <system_error>

#include "spin.h"

namespace cuda_batchnorm::cpu {

ThreadPool::ThreadPool(int threads) : threads_(std::max(1, threads)) {}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t count, const Task& task) {
  if (count > 1 && threads_ > 1) startWorkers();
  if (count <= 1 || workers_.empty()) {
    for (int64_t index = 0; index < count; ++index) task(index);
    return;
  }
  openJob(count, task);
  takeTasks(task, count);
  closeJob();
}

void ThreadPool::startWorkers() {
  if (!workers_.empty()) return;
  try {
    for (int worker = 1; worker < threads_; ++worker) workers_.emplace_back(&ThreadPool::work, this);
  } catch (const std::system_error&) {
    // The system grants no more threads. Fewer give the same results, later.
  }
}

void ThreadPool::work() {
  uint64_t seen = 0;
  for (;;) {
    const auto hasNews = [&] { return job_.load(std::memory_order_acquire) != seen; };
    spinUntil(hasNews);

    std::unique_lock<std::mutex> lock(mutex_);
    ++sleeping_;
    wake_.wait(lock, [&] { return stopping_ || hasNews(); });
    --sleeping_;
    if (stopping_) return;
    seen = job_.load(std::memory_order_relaxed);
    if (task_ == nullptr) continue;  // too late: the others have done it all
    inside_.fetch_add(1, std::memory_order_relaxed);
    const Task& task = *task_;
    const int64_t count = count_;
    lock.unlock();

    takeTasks(task, count);

    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      lock.lock();
      left_.notify_one();
    }
  }
}

void ThreadPool::takeTasks(const Task& task, int64_t count) {
  for (;;) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count) return;
    task(index);
  }
}

void ThreadPool::openJob(int64_t count, const Task& task) {
  int sleepers = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    task_ = &task;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    job_.fetch_add(1, std::memory_order_release);
    sleepers = sleeping_;
  }
  const int64_t helpers = std::min<int64_t>(count - 1, sleepers);
  for (int64_t helper = 0; helper < helpers; ++helper) wake_.notify_one();
}

// Waits for the workers that entered, never for one that is still waking up: it may be long in coming on a busy machine.
void ThreadPool::closeJob() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    task_ = nullptr;
  }
  const auto allLeft = [this] { return inside_.load(std::memory_order_acquire) == 0; };
  if (spinUntil(allLeft)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  left_.wait(lock, allLeft);
}

}  // namespace cuda_batchnorm::cpu
