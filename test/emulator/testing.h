// What the emulator's own tests share.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../native/check.h"
#include "emulator/grid.h"
#include "emulator/memory.h"
#include "emulator/primitives.h"

namespace cuda_batchnorm::emulator {

constexpr uint64_t kSeeds = 20;

// An array in device memory; elements that were not written from here are uninitialised.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count), memory_(static_cast<T*>(allocateDevice(count * sizeof(T)))) {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { write(values); }
  ~DeviceArray() { freeDevice(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* get() const { return memory_; }
  void write(const std::vector<T>& values) const {
    std::memcpy(backing(memory_, values.size() * sizeof(T)), values.data(), values.size() * sizeof(T));
    markInitialised(memory_, values.size() * sizeof(T));
  }
  std::vector<T> read() const {
    CHECK(isInitialised(memory_, count_ * sizeof(T)));
    std::vector<T> values(count_);
    std::memcpy(values.data(), backing(memory_, count_ * sizeof(T)), count_ * sizeof(T));
    return values;
  }

 private:
  size_t count_;
  T* memory_;
};

template <class Arguments>
void start(void (*kernel)(Arguments), const GridShape& shape, const Arguments& arguments, uint64_t seed = 1, Touched* touched = nullptr) {
  runGrid(
      "tested", shape, [&] { kernel(arguments); }, seed, touched);
}

// The message of the fault; empty where there was none.
template <class Body>
std::string faultOf(const Body& body) {
  try {
    body();
  } catch (const Fault& fault) {
    CHECK(std::string(fault.what()).find(fault.kind()) == 0);
    return fault.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace cuda_batchnorm::emulator
