// An addon that knows nothing of cuda-batchnorm: it computes on float32 memory that it is given by address, and has memory of its own to
// give. The CPU device's memory is the process's own, so that plain C++ may read and write it. On a GPU these would be kernels.
#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace {

constexpr size_t kMostArguments = 3;

/// What JavaScript passed: numbers and addresses (BigInt), whose kinds are checked as they are read.
struct Arguments {
  Arguments(napi_env environment, napi_callback_info info) : env(environment) {
    napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  }

  uint64_t addressAt(size_t index) {
    uint64_t value = 0;
    bool lossless = false;
    if (index >= count || napi_get_value_bigint_uint64(env, values[index], &value, &lossless) != napi_ok || !lossless) valid = false;
    return value;
  }

  double numberAt(size_t index) {
    double value = 0;
    if (index >= count || napi_get_value_double(env, values[index], &value) != napi_ok) valid = false;
    return value;
  }

  size_t lengthAt(size_t index) {
    uint32_t value = 0;
    if (index >= count || napi_get_value_uint32(env, values[index], &value) != napi_ok) valid = false;
    return value;
  }

  /// Whether all that was read was there and of the right kind; else a TypeError is on its way.
  bool check(const char* usage) const {
    if (!valid) napi_throw_type_error(env, nullptr, usage);
    return valid;
  }

  napi_env env;
  size_t count = kMostArguments;
  napi_value values[kMostArguments] = {};
  bool valid = true;
};

/// scale(address, length, factor): multiplies float32 values, in place.
napi_value scale(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  auto* values = reinterpret_cast<float*>(arguments.addressAt(0));
  const auto length = arguments.lengthAt(1);
  const auto factor = static_cast<float>(arguments.numberAt(2));
  if (!arguments.check("Expected scale(address: bigint, length: number, factor: number)")) return nullptr;
  for (size_t i = 0; i < length; ++i) values[i] *= factor;
  return nullptr;
}

/// The memory behind an object that makeRamp() returned, of which the garbage collector is done.
void freeRamp(napi_env /*env*/, void* values, void* /*hint*/) { delete[] static_cast<float*>(values); }

/// makeRamp(length): 0, 1, 2, … in memory of this addon's. An object { address }, which keeps the memory as long as it lives.
napi_value makeRamp(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  const auto length = arguments.lengthAt(0);
  if (!arguments.check("Expected makeRamp(length: number)")) return nullptr;
  auto values = std::make_unique<float[]>(length);
  for (size_t i = 0; i < length; ++i) values[i] = static_cast<float>(i);

  napi_value owner = nullptr;
  napi_value address = nullptr;
  napi_create_object(env, &owner);
  napi_create_bigint_uint64(env, reinterpret_cast<uint64_t>(values.get()), &address);
  napi_set_named_property(env, owner, "address", address);
  if (napi_wrap(env, owner, values.get(), freeRamp, nullptr, nullptr) == napi_ok) static_cast<void>(values.release());
  return owner;
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace

NAPI_MODULE_INIT() {
  define(env, exports, "scale", scale);
  define(env, exports, "makeRamp", makeRamp);
  return exports;
}
