// Brings what other threads want done to the environment's own thread.
#pragma once

#include <napi.h>

#include <functional>
#include <mutex>

namespace cuda_batchnorm::binding {

class Mailbox {
 public:
  using Task = std::function<void()>;  // must not throw

  explicit Mailbox(Napi::Env env);

  // On any thread. Once the environment has ended the task is done at once, on the thread that posts it.
  void post(Task task);
  // On the environment's thread, when it ends.
  void close();
  bool closed() const { return !open_; }  // on the environment's thread

 private:
  static void run(Napi::Env env, Napi::Function, Mailbox* mailbox, Task* task);
  using Channel = Napi::TypedThreadSafeFunction<Mailbox, Task, &Mailbox::run>;

  std::mutex mutex_;
  bool open_ = true;
  Channel channel_;
};

}  // namespace cuda_batchnorm::binding
