#include "environment.h"

#include <utility>

#include "backends.h"
#include "device.h"

namespace cuda_batchnorm::binding {

// The hook is registered after those of `promises` and `mailbox`, and hooks run from the last to the first: whatever ends while
// the queues run dry still finds somebody to tell.
Environment::Environment(Napi::Env env) : promises(env), mailbox(std::make_shared<Mailbox>(env)) {
  env.AddCleanupHook(&Environment::finishWork, this);
}

Environment::~Environment() { mailbox->end(); }

Napi::Object Environment::device(Napi::Env env, const std::string& name) {
  const auto known = devices_.find(name);
  if (known != devices_.end()) return known->second.object.Value();
  BackedDevice backed = openDevice(name);
  const Napi::Object object = NativeDevice::create(env, backed);
  devices_.emplace(name, Opened{std::move(backed.device), Napi::Persistent(object)});
  return object;
}

// Nobody is left to hear of an error.
void Environment::finishWork(Environment* environment) {
  for (const auto& entry : environment->devices_) {
    try {
      entry.second.device->synchronize();
    } catch (...) {
    }
  }
  environment->mailbox->close();
}

}  // namespace cuda_batchnorm::binding
