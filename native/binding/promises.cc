#include "promises.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "errors.h"

namespace cuda_batchnorm::binding {

struct Promises::Pending {
  explicit Pending(Napi::Env env) : deferred(env) {}

  Napi::Promise::Deferred deferred;
  std::vector<Napi::ObjectReference> kept;
  Napi::ObjectReference caller;  // an Error made where the work was asked for: its stack says who
  std::exception_ptr error;
};

namespace {

// Puts the caller's frames under an error that was made when no JavaScript was running.
void addStack(Napi::Object error, const Napi::Object& caller) {
  const std::string frames = caller.Get("stack").ToString();
  const size_t firstFrame = frames.find("\n    at ");
  if (firstFrame == std::string::npos) return;
  error.Set("stack", error.ToString().Utf8Value() + frames.substr(firstFrame));
}

}  // namespace

Promises::Promises(Napi::Env env) : channel_(Channel::New(env, "cuda-batchnorm", 0, 1, this)) { channel_.Unref(env); }

Napi::Value Promises::promise(Napi::Env env, const std::function<void(Completion)>& start, std::initializer_list<Napi::Object> kept) {
  auto pending = std::make_unique<Pending>(env);
  pending->caller = Napi::Persistent(Napi::Error::New(env).Value());
  for (const Napi::Object& object : kept) pending->kept.push_back(Napi::Persistent(object));
  const Napi::Promise promise = pending->deferred.Promise();
  try {
    start([channel = channel_, settled = pending.get()](std::exception_ptr error) {
      settled->error = std::move(error);
      channel.NonBlockingCall(settled);
    });
  } catch (...) {
    pending->deferred.Reject(toJavaScript(env, std::current_exception()).Value());
    return promise;
  }
  static_cast<void>(pending.release());  // to settle(), which cannot have run yet: this is its thread
  if (pending_++ == 0) channel_.Ref(env);
  return promise;
}

void Promises::settle(Napi::Env env, Napi::Function, Promises* promises, Pending* pending) {
  const std::unique_ptr<Pending> settled(pending);
  if (env == nullptr) return;  // the environment is closing: nobody waits any more
  if (--promises->pending_ == 0) promises->channel_.Unref(env);
  if (settled->error == nullptr) {
    settled->deferred.Resolve(env.Undefined());
    return;
  }
  const Napi::Error error = toJavaScript(env, settled->error);
  addStack(error.Value(), settled->caller.Value());
  settled->deferred.Reject(error.Value());
}

}  // namespace cuda_batchnorm::binding
