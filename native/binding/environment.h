// What the addon keeps for one JavaScript environment: the main thread and every worker thread have their own.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "../core/backend.h"
#include "mailbox.h"
#include "promises.h"

namespace cuda_batchnorm::binding {

// Held back from JavaScript, so that only native code makes such objects.
struct Constructors {
  Napi::FunctionReference backend;
  Napi::FunctionReference buffer;
  Napi::FunctionReference device;
  Napi::FunctionReference event;
  Napi::FunctionReference graph;
  Napi::FunctionReference stream;
};

class Environment {
 public:
  explicit Environment(Napi::Env env);
  ~Environment();  // after the finalizers of all its objects
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // The one object for the device of that name; throws ErrorCode::DeviceUnavailable.
  Napi::Object device(Napi::Env env, const std::string& name);

  Promises promises;
  const std::shared_ptr<Mailbox> mailbox;  // shared with memory in other hands, which may outlive the environment
  Constructors constructors;
  std::unordered_map<const void*, const void*> natives;  // the objects native code made that are still there; of each its class's &kName
  Napi::FunctionReference errorClass;

 private:
  struct Opened {
    std::shared_ptr<Device> device;
    Napi::ObjectReference object;
  };

  static void finishWork(Environment* environment);

  std::map<std::string, Opened> devices_;
};

}  // namespace cuda_batchnorm::binding
