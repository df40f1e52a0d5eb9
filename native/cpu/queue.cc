#include "queue.h"

#include <string>
#include <system_error>
#include <utility>

#include "../core/error.h"
#include "spin.h"

namespace cuda_batchnorm::cpu {

Queue::~Queue() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Queue::submit(Task task) {
  if (!thread_.joinable()) start();
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    incoming_.push_back(std::move(task));
    submitted_.fetch_add(1, std::memory_order_release);
    wake = sleeping_;
    sleeping_ = false;  // one wake-up call is enough for many tasks
  }
  if (wake) wake_.notify_one();
}

void Queue::wait() {
  if (spinUntil([this] { return idle(); })) return;
  std::unique_lock<std::mutex> lock(mutex_);
  waiting_.store(true);
  done_.wait(lock, [this] { return idle(); });
  waiting_.store(false);
}

std::exception_ptr Queue::takeError() { return std::exchange(error_, nullptr); }

void Queue::start() {
  try {
    thread_ = std::thread(&Queue::loop, this);
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::OutOfMemory, std::string("Expected the system to grant one more thread but received: ") + error.what());
  }
}

void Queue::loop() {
  std::vector<Task> batch;
  for (;;) {
    spinUntil([this] { return submitted_.load(std::memory_order_acquire) != completed_.load(std::memory_order_relaxed); });
    {
      std::unique_lock<std::mutex> lock(mutex_);
      while (incoming_.empty()) {
        if (stopping_) return;
        sleeping_ = true;
        wake_.wait(lock);
        sleeping_ = false;
      }
      batch.swap(incoming_);
    }
    for (Task& task : batch) run(task);
    batch.clear();
  }
}

void Queue::run(Task& task) {
  try {
    task();
  } catch (...) {
    if (!error_) error_ = std::current_exception();
  }
  task = nullptr;  // what it holds is given up before anybody hears that it is done
  // Sequentially consistent, as in wait(): either this thread sees `waiting_`, or the waiter sees the new count.
  const uint64_t completed = completed_.fetch_add(1) + 1;
  if (waiting_.load() && completed == submitted_.load()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_.notify_one();
  }
}

}  // namespace cuda_batchnorm::cpu
