#include "mailbox.h"

#include <utility>

namespace cuda_batchnorm::binding {

Mailbox::Mailbox(Napi::Env env) : bell_(Bell::New(env, "cuda-batchnorm mailbox", 0, 1, this)) { bell_.Unref(env); }

void Mailbox::post(Task task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_.push_back(std::move(task));
    if (state_ == State::Open) bell_.NonBlockingCall();
    if (state_ != State::Ended) return;
  }
  work();
}

void Mailbox::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  state_ = State::Closed;
}

void Mailbox::end() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    state_ = State::Ended;
  }
  work();
}

// Whoever is at work goes on with what comes in the meantime. A task may post others.
void Mailbox::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (working_) return;
  working_ = true;
  while (!tasks_.empty()) {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it held goes now, without the lock
    lock.lock();
  }
  working_ = false;
}

// Also called, without an environment, for a bell that was rung before the environment ended.
void Mailbox::run(Napi::Env, Napi::Function, Mailbox* mailbox, void*) { mailbox->work(); }

}  // namespace cuda_batchnorm::binding
