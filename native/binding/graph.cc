#include "graph.h"

#include "stream.h"

namespace cuda_batchnorm::binding {

void NativeGraph::define(Napi::Env env) {
  NativeObject::define(env, {
                                methodNamed<&NativeGraph::launch>("launch"),
                                methodNamed<&NativeGraph::release>("release"),
                            });
}

Napi::Value NativeGraph::launch(const Napi::CallbackInfo& info) {
  if (state_.graph == nullptr) throw Error(ErrorCode::InvalidArgument, "Expected a live graph but received a released one");
  state_.graph->launch(NativeStream::from(Arguments(info).value(), "stream").on(*state_.device));
  return info.Env().Undefined();
}

Napi::Value NativeGraph::release(const Napi::CallbackInfo& info) {
  state_.graph.reset();
  return info.Env().Undefined();
}

}  // namespace cuda_batchnorm::binding
