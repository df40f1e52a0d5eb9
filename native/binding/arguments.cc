#include "arguments.h"

#include <cmath>
#include <string>

#include "buffer.h"

namespace cuda_batchnorm::binding {
namespace {

const char* typeName(const Napi::Value& value) {
  switch (value.Type()) {
    case napi_undefined:
      return "undefined";
    case napi_null:
      return "null";
    case napi_boolean:
      return "boolean";
    case napi_number:
      return "number";
    case napi_string:
      return "string";
    case napi_symbol:
      return "symbol";
    case napi_function:
      return "function";
    case napi_bigint:
      return "bigint";
    default:
      return "object";
  }
}

// Only primitives are written out: turning an object into a string would run its code.
std::string describe(const Napi::Value& value) {
  const std::string type = typeName(value);
  const bool primitive = value.IsNumber() || value.IsString() || value.IsBoolean() || value.IsBigInt();
  return (primitive ? value.ToString().Utf8Value() : type) + " of type " + type;
}

int64_t wholeNumber(const Napi::Value& argument, const char* name) {
  constexpr double kMost = 9007199254740991;  // 2^53 - 1
  const double number = argument.IsNumber() ? argument.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kMost && std::floor(number) == number))
    throw unexpected("a whole number from 0 to 2^53 - 1", name, argument);
  return static_cast<int64_t>(number);
}

}  // namespace

Error unexpected(const char* expected, const char* argument, const Napi::Value& received) {
  return {ErrorCode::InvalidArgument, std::string("Expected ") + expected + " for " + argument + " but received " + describe(received)};
}

double Arguments::number(const char* name) {
  const Napi::Value argument = value();
  if (!argument.IsNumber()) throw unexpected("a number", name, argument);
  return argument.As<Napi::Number>().DoubleValue();
}

int64_t Arguments::integer(const char* name) { return wholeNumber(value(), name); }

bool Arguments::boolean(const char* name) {
  const Napi::Value argument = value();
  if (!argument.IsBoolean()) throw unexpected("a boolean", name, argument);
  return argument.As<Napi::Boolean>();
}

DType Arguments::dtype(const char* name) {
  const int64_t code = integer(name);
  if (code >= kDTypeCount) throw unexpected("a dtype's number", name, info_[next_ - 1]);
  return static_cast<DType>(code);
}

Problem Arguments::problem() {
  Problem problem;
  problem.outer = integer("outer");
  problem.channels = integer("channels");
  problem.inner = integer("inner");
  problem.dtype = dtype("dtype");
  problem.parameterDtype = dtype("parameterDtype");
  const int64_t activation = integer("activation");
  if (activation >= kActivationCount) throw unexpected("an activation's number", "activation", info_[next_ - 1]);
  problem.activation = static_cast<Activation>(activation);
  return problem;
}

HostMemory Arguments::host(const char* name) {
  const Napi::Value argument = value();
  if (!argument.IsTypedArray()) throw unexpected("a typed array", name, argument);
  const auto array = argument.As<Napi::TypedArray>();
  void* data = nullptr;
  // Unlike ArrayBuffer(), this takes shared memory too.
  if (napi_get_typedarray_info(array.Env(), array, nullptr, nullptr, &data, nullptr, nullptr) != napi_ok) {
    throw unexpected("a typed array", name, argument);
  }
  return {array, data, array.ByteLength()};
}

void* Arguments::address(const char* name) {
  const Napi::Value argument = value();
  if (!argument.IsBigInt()) throw unexpected("a bigint", name, argument);
  bool lossless = false;
  const uint64_t number = argument.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless || number == 0) throw unexpected("an address", name, argument);
  return reinterpret_cast<void*>(static_cast<uintptr_t>(number));  // NOLINT(performance-no-int-to-ptr)
}

BatchPart Arguments::part() {
  const Napi::Value argument = value();
  if (argument.IsNull() || argument.IsUndefined()) return {};
  if (!argument.IsObject()) throw unexpected("an object", "part", argument);
  const auto part = argument.As<Napi::Object>();
  return {wholeNumber(part.Get("elements"), "part.elements"), wholeNumber(part.Get("statisticsBytes"), "part.statisticsBytes"),
          wholeNumber(part.Get("maskBytes"), "part.maskBytes")};
}

Renorm Arguments::renorm() {
  const Napi::Value argument = value();
  if (argument.IsNull() || argument.IsUndefined()) return {};
  if (!argument.IsObject()) throw unexpected("an object", "renorm", argument);
  const auto limits = argument.As<Napi::Object>();
  const Napi::Value rMax = limits.Get("rMax"), dMax = limits.Get("dMax");
  if (!rMax.IsNumber()) throw unexpected("a number", "renorm.rMax", rMax);
  if (!dMax.IsNumber()) throw unexpected("a number", "renorm.dMax", dMax);
  return {true, rMax.As<Napi::Number>(), dMax.As<Napi::Number>()};
}

std::vector<int64_t> Arguments::integers(const char* name) {
  const Napi::Value argument = value();
  if (!argument.IsArray()) throw unexpected("an array", name, argument);
  const auto array = argument.As<Napi::Array>();
  std::vector<int64_t> numbers;
  for (uint32_t i = 0; i < array.Length(); ++i) numbers.push_back(wholeNumber(array.Get(i), name));
  return numbers;
}

NativeBuffer& Arguments::buffer(const char* name) { return NativeBuffer::from(value(), name); }

void* Arguments::memory(const char* name) { return buffer(name).memory(name); }

void* Arguments::optionalMemory(const char* name) {
  if (info_[next_].IsNull()) {
    ++next_;
    return nullptr;
  }
  return memory(name);
}

}  // namespace cuda_batchnorm::binding
