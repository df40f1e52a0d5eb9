#include "thread_pool.h"

#include <algorithm>
#include <system_error>

#include "spin.h"
#include "system.h"

namespace cuda_batchnorm::cpu {

ThreadPool::ThreadPool(int threads) : threads_(std::max(1, threads)), ranges_(static_cast<size_t>(threads_)) {}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t count, const Task& task, Order order) {
  if (count > 1 && threads_ > 1) startWorkers();
  if (count <= 1 || workers_.empty()) {
    for (int64_t i = 0; i < count; ++i) task(order == Order::Forward ? i : count - 1 - i);
    return;
  }
  keepWorkersAway();
  openJob(count, task, order);
  takeTasks(0, task);
  closeJob();
}

void ThreadPool::startWorkers() {
  if (!workers_.empty()) return;
  try {
    for (int worker = 1; worker < threads_; ++worker) workers_.emplace_back(&ThreadPool::work, this, worker);
  } catch (const std::system_error&) {
    // The system grants no more threads. Fewer give the same results, later.
  }
}

// Where there are no more cores than threads, the system often wakes a worker on the core of the thread that calls it, behind which it then
// waits for milliseconds, though another core has come free: whoever queued the work held it for a moment only. So workers keep off the
// caller's core. With cores to spare the system finds one.
void ThreadPool::keepWorkersAway() {
  constexpr int kMostThreads = 16;  // for which this costs little beside a wake-up
  const int core = currentCore();
  if (core == openersCore_) return;
  openersCore_ = core;
  if (threads_ > kMostThreads || usableCores() > threads_) return;
  for (std::thread& worker : workers_) keepOff(core, worker);
}

void ThreadPool::work(int self) {
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
    lock.unlock();

    takeTasks(self, task);

    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      lock.lock();
      left_.notify_one();
    }
  }
}

void ThreadPool::takeTasks(int self, const Task& task) {
  for (int k = 0; k < threads_; ++k) {
    Range& range = ranges_[static_cast<size_t>((self + k) % threads_)];
    for (;;) {
      const int64_t taken = range.taken.fetch_add(1, std::memory_order_relaxed);
      if (taken >= range.end - range.begin) break;
      task(order_ == Order::Forward ? range.begin + taken : range.end - 1 - taken);
    }
  }
}

void ThreadPool::openJob(int64_t count, const Task& task, Order order) {
  int sleepers = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    task_ = &task;
    order_ = order;
    for (int t = 0; t < threads_; ++t) {
      Range& range = ranges_[static_cast<size_t>(t)];
      range.begin = count * t / threads_;
      range.end = count * (t + 1) / threads_;
      range.taken.store(0, std::memory_order_relaxed);
    }
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
