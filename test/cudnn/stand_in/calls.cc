#include "calls.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "exports.h"
#include "hooks.h"
#include "refusal.h"

namespace cuda_batchnorm::cudnn {
namespace {

thread_local std::string lastError;

struct Journal {
  std::mutex mutex;
  std::string lines;
  std::map<std::string, Status> toFail;
};

Journal& journal() {
  static Journal& only = *new Journal;
  return only;
}

// What a test asked for; kSuccess where it did not.
Status takeFailure(const char* function) {
  Journal& state = journal();
  const std::lock_guard<std::mutex> lock(state.mutex);
  const auto found = state.toFail.find(function);
  if (found == state.toFail.end()) return kSuccess;
  const Status status = found->second;
  state.toFail.erase(found);
  return status;
}

Status failed(const char* function, Status status, const std::string& words) {
  lastError = std::string(function) + ": " + words;
  return status;
}

Status attempt(const char* function, const std::function<void(Details&)>& body, Details& details) {
  const Status asked = takeFailure(function);
  if (asked != kSuccess) return failed(function, asked, "a failure that was asked for");
  try {
    body(details);
    return kSuccess;
  } catch (const Refusal& refusal) {
    return failed(function, refusal.status(), refusal.what());
  } catch (const std::exception& error) {
    return failed(function, kInternalError, error.what());
  }
}

}  // namespace

void Details::add(const char* key, double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.15g", value);
  append(key, digits);
}

Status entered(const char* function, const std::function<void(Details&)>& body) {
  Details details;
  const Status status = attempt(function, body, details);
  Journal& state = journal();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.lines += std::string("{\"function\":\"") + function + "\",\"status\":" + std::to_string(status) + details.json() + "}\n";
  return status;
}

extern "C" void cudnnGetLastErrorString(char* message, size_t bytes) {
  if (message == nullptr || bytes == 0) return;
  const size_t copied = std::min(bytes - 1, lastError.size());
  std::memcpy(message, lastError.data(), copied);
  message[copied] = '\0';
  lastError.clear();
}

}  // namespace cuda_batchnorm::cudnn

using namespace cuda_batchnorm::cudnn;

const char* standInCalls() {
  static thread_local std::string lines;
  Journal& state = journal();
  const std::lock_guard<std::mutex> lock(state.mutex);
  lines = state.lines;
  return lines.c_str();
}

void standInFailNext(const char* function, int status) {
  Journal& state = journal();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.toFail.erase(function);
  if (status != kSuccess) state.toFail.emplace(function, status);
}

void standInReset() {
  forgetComplaints();
  Journal& state = journal();
  const std::lock_guard<std::mutex> lock(state.mutex);
  state.lines.clear();
  state.toFail.clear();
}

size_t standInComplaints() { return complaints(); }
