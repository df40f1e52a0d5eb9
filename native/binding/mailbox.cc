#include "mailbox.h"

#include <memory>
#include <utility>

namespace cuda_batchnorm::binding {

Mailbox::Mailbox(Napi::Env env) : channel_(Channel::New(env, "cuda-batchnorm mailbox", 0, 1, this)) { channel_.Unref(env); }

void Mailbox::post(Task task) {
  auto parcel = std::make_unique<Task>(std::move(task));
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (open_ && channel_.NonBlockingCall(parcel.get()) == napi_ok) {
      static_cast<void>(parcel.release());  // to run()
      return;
    }
  }
  (*parcel)();
}

void Mailbox::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  open_ = false;
}

// Also called, without an environment, for what is still in the channel when that is closed.
void Mailbox::run(Napi::Env, Napi::Function, Mailbox*, Task* task) {
  const std::unique_ptr<Task> parcel(task);
  (*parcel)();
}

}  // namespace cuda_batchnorm::binding
