// Native errors on their way to JavaScript.
#pragma once

#include <napi.h>

#include <exception>

namespace cuda_batchnorm::binding {

// `new errorClass(code, message)`, with the class this environment was given.
Napi::Error toJavaScript(Napi::Env env, const std::exception_ptr& error);

// Returns what `body` returns; what it throws becomes a JavaScript exception.
template <typename Body>
auto translateErrors(Napi::Env env, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw toJavaScript(env, std::current_exception());
  }
}

}  // namespace cuda_batchnorm::binding
