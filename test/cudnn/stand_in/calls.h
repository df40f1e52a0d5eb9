// How every function of the library is entered and left: what it throws becomes a status and words, and the call is written down.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "../../../native/cudnn/abi.h"

namespace cuda_batchnorm::cudnn {

// What else to write down of a call.
class Details {
 public:
  void add(const char* key, const std::string& value) { append(key, "\"" + value + "\""); }
  void add(const char* key, size_t value) { append(key, std::to_string(value)); }
  void add(const char* key, double value);
  void flag(const char* key, bool value) { append(key, value ? "true" : "false"); }

  const std::string& json() const { return json_; }

 private:
  void append(const char* key, const std::string& value) { json_ += std::string(",\"") + key + "\":" + value; }

  std::string json_;
};

Status entered(const char* function, const std::function<void(Details&)>& body);

}  // namespace cuda_batchnorm::cudnn
