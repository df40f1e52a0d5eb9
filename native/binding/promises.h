// Promises that are settled when queued work is done. They keep the process alive only while any is pending.
#pragma once

#include <napi.h>

#include <cstddef>
#include <functional>
#include <initializer_list>

#include "../core/backend.h"

namespace cuda_batchnorm::binding {

class Promises {
 public:
  explicit Promises(Napi::Env env);

  // A promise for the work that `start` queues, followed by the completion it is given; rejected with what `start` throws.
  // `kept` stays alive until then.
  Napi::Value promise(Napi::Env env, const std::function<void(Completion)>& start, std::initializer_list<Napi::Object> kept);

 private:
  struct Pending;
  static void settle(Napi::Env env, Napi::Function, Promises* promises, Pending* pending);
  using Channel = Napi::TypedThreadSafeFunction<Promises, Pending, &Promises::settle>;

  Channel channel_;
  size_t pending_ = 0;
};

}  // namespace cuda_batchnorm::binding
