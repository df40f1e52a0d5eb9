// The arguments of a call, read one after the other. TypeScript has checked them; what is checked here keeps a mistake there
// from becoming a crash.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../core/backend.h"

namespace cuda_batchnorm::binding {

class NativeBuffer;

Error unexpected(const char* expected, const char* argument, const Napi::Value& received);

struct HostMemory {
  Napi::Object array;
  void* data = nullptr;
  size_t byteLength = 0;
};

// Where a virtual batch begins within the tensors of a whole batch.
struct BatchPart {
  int64_t elements = 0;         // of the input and what is like it
  int64_t statisticsBytes = 0;  // of the batch's statistics
  int64_t maskBytes = 0;
};

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  Napi::Value value() { return info_[next_++]; }
  double number(const char* name);
  int64_t integer(const char* name);  // from 0 to 2^53 - 1
  bool boolean(const char* name);
  DType dtype(const char* name);
  Problem problem();  // outer, channels, inner, dtype, parameterDtype, activation
  HostMemory host(const char* name);
  void* address(const char* name);                  // a bigint, not zero
  BatchPart part();                                 // null or left out: a whole batch
  Renorm renorm();                                  // null or left out: none
  std::vector<int64_t> integers(const char* name);  // an array of them

  NativeBuffer& buffer(const char* name);
  void* memory(const char* name);
  void* optionalMemory(const char* name);  // null for null

 private:
  const Napi::CallbackInfo& info_;
  size_t next_ = 0;
};

}  // namespace cuda_batchnorm::binding
