#include "errors.h"

#include <new>
#include <string>

#include "../core/error.h"
#include "environment.h"

namespace cuda_batchnorm::binding {
namespace {

Napi::Error make(Napi::Env env, ErrorCode code, const std::string& message) {
  const Napi::FunctionReference& errorClass = Environment::of(env).errorClass;
  if (!errorClass.IsEmpty()) return {env, errorClass.New({Napi::String::New(env, name(code)), Napi::String::New(env, message)})};
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, name(code)));
  return error;
}

}  // namespace

Napi::Error toJavaScript(Napi::Env env, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& native) {
    return make(env, native.code(), native.what());
  } catch (const std::bad_alloc&) {
    return make(env, ErrorCode::OutOfMemory, "Expected the system to grant more host memory but it refused");
  } catch (const std::exception& other) {
    return Napi::Error::New(env, other.what());
  }
}

}  // namespace cuda_batchnorm::binding
