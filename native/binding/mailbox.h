// Brings what other threads want done to the environment's own thread.
#pragma once

#include <napi.h>

#include <deque>
#include <functional>
#include <mutex>

namespace cuda_batchnorm::binding {

// Tasks are done one at a time: on the environment's thread as long as there is one, afterwards on one that posts.
class Mailbox {
 public:
  using Task = std::function<void()>;  // must not throw

  explicit Mailbox(Napi::Env env);

  void post(Task task);  // on any thread

  // On the environment's thread.
  void close();  // it begins to end: what is posted now waits for end()
  void end();    // nothing else uses what the tasks use
  bool closed() const { return state_ != State::Open; }

 private:
  enum class State { Open, Closed, Ended };

  static void run(Napi::Env env, Napi::Function, Mailbox* mailbox, void*);
  using Bell = Napi::TypedThreadSafeFunction<Mailbox, void, &Mailbox::run>;

  void work();

  std::mutex mutex_;
  State state_ = State::Open;
  std::deque<Task> tasks_;
  bool working_ = false;
  Bell bell_;
};

}  // namespace cuda_batchnorm::binding
