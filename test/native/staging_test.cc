#include "../../native/cpu/staging.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"

namespace {

using cuda_batchnorm::ErrorCode;
using cuda_batchnorm::cpu::Staging;

void copies() {
  Staging staging;
  std::vector<char> host(1000, 'a');
  const std::shared_ptr<void> copy = staging.copy(host.data(), host.size());
  host.assign(host.size(), 'b');
  for (size_t i = 0; i < host.size(); ++i) CHECK(static_cast<const char*>(copy.get())[i] == 'a');
}

void usesBlocksAgain() {
  Staging staging;
  const std::vector<char> host(size_t{3} << 20, 'a');
  std::shared_ptr<void> first = staging.copy(host.data(), host.size());
  const std::shared_ptr<void> second = staging.copy(host.data(), host.size());
  CHECK(first != second);
  void* const block = first.get();
  std::thread([&] { first.reset(); }).join();
  CHECK(staging.copy(host.data(), host.size()).get() == block);
  CHECK(staging.copy(host.data(), host.size() - 100).get() == block);  // nearly the same size
  CHECK(staging.copy(host.data(), 100).get() != block);                // a large block waits for a large upload
}

void refusesInNumbers() {
  Staging staging;
  const char host = 'a';
  const cuda_batchnorm::Error error = errorOf([&] { staging.copy(&host, size_t{1} << 60); });
  CHECK(error.code() == ErrorCode::OutOfMemory);
  CHECK(std::strstr(error.what(), "1152921504606846976 bytes") != nullptr);
}

}  // namespace

int main() {
  copies();
  usesBlocksAgain();
  refusesInNumbers();
}
