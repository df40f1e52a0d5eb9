// The state of the whole runtime, under one lock, and how its functions are entered. Kernels, copies and host functions run without the
// lock.
#pragma once

#include <cuda_runtime.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "errors.h"
#include "failures.h"
#include "gpus.h"
#include "ordering.h"
#include "pinned.h"

namespace cuda_batchnorm::emulator {

class Capture;
struct Event;
struct Graph;
struct GraphExec;
struct Pool;
struct Stream;

// What a failed device says to every call.
struct Sickness {
  cudaError_t code;
  std::string words;
};

// What cudaFuncSetAttribute asked for.
struct KernelSettings {
  size_t sharedBytes = kPlainSharedPerBlock;
  bool largeClusters = false;
};

struct Device {
  int index = 0;
  const Gpu* gpu = nullptr;
  size_t memoryBytes = 0;
  size_t plainBytes = 0;  // by cudaMalloc
  std::shared_ptr<Pool> defaultPool;
  std::shared_ptr<Pool> currentPool;
  std::vector<std::shared_ptr<Pool>> pools;
  std::shared_ptr<Stream> defaultStream;
  std::map<const void*, KernelSettings> kernels;
  std::optional<Sickness> sickness;

  void requireHealthy() const;
};

// An allocation of device memory; freed ones are gone from the map at once, in the order of calls.
struct DeviceMemory {
  Device* device = nullptr;
  size_t bytes = 0;
  uint64_t id = 0;
  std::shared_ptr<Pool> pool;  // nullptr: by cudaMalloc
};

// Lines of vector clocks, used again when nobody can tell the difference.
class Lines {
 public:
  size_t take(const Clock& host);
  void giveBack(size_t line) { idle_.push_back(line); }
  Place next(size_t line) { return {line, ++times_[line]}; }

 private:
  std::vector<uint64_t> times_;
  std::vector<size_t> idle_;
};

struct Driver {
  Driver();

  std::mutex mutex;
  std::condition_variable progress;  // some work was done, or began to wait

  int version = CUDART_VERSION;         // the newest CUDA that it knows; 0: there is no driver
  std::optional<Sickness> unavailable;  // why there is no device
  std::vector<std::unique_ptr<Device>> devices;
  std::map<cudaStream_t, std::shared_ptr<Stream>> streams;
  std::set<std::shared_ptr<Stream>> living;  // those that were destroyed and still have work, too
  std::vector<std::thread> ended;            // threads to be joined
  int lastStream = 0;
  std::map<cudaEvent_t, std::shared_ptr<Event>> events;
  std::map<cudaMemPool_t, std::shared_ptr<Pool>> pools;
  std::map<cudaGraph_t, std::shared_ptr<const Graph>> graphs;
  std::map<cudaGraphExec_t, std::shared_ptr<GraphExec>> execs;
  std::vector<std::shared_ptr<Capture>> captures;  // open ones
  std::map<const char*, DeviceMemory> memory;
  PinnedMemory pinned;

  Clock host;  // what some thread of the host has waited for; all threads share it, because they tell each other in ways that nobody sees
  Lines lines;
  size_t hostLine;
  Ledger ledger;

  FailurePlan failures;
  uint64_t seed = 0;
  uint64_t lastLaunch = 0;
  std::string lastFault;
  bool ending = false;  // the process, or the library's stay in it

  // The order of what the host does now, by itself.
  Order hostOrder();

  // Makes a fault the device's sticky error and prints it; only the first of a device counts.
  void fail(Device& device, const Fault& fault);
};

Driver& driver();

// What a call does where its device has failed.
enum class OnFailedDevice {
  Refuse,   // nothing but tell the error
  Proceed,  // what gives something back gives it back, and tells the error all the same
  Ignore,   // does not concern it
};

// A call of the runtime while it runs, with the lock.
struct Call {
  Driver& driver;
  Device& device;  // the thread's current one
  std::unique_lock<std::mutex> lock;

  Device& deviceAt(int index) const;
  std::shared_ptr<Stream> stream(cudaStream_t handle, OnFailedDevice onFailedDevice = OnFailedDevice::Refuse) const;
  std::shared_ptr<Stream> streamOfDevice(cudaStream_t handle) const;  // of the current device
  Event& event(cudaEvent_t handle) const;
  void strike(FailureKind kind, cudaError_t code) const;  // fails where a test asked for it

  // Waits for progress until this holds; fails where the runtime ends.
  void waitUntil(const std::function<bool()>& holds);
};

// Every function that needs a device is one of these: it ends with what `body` throws, or with a device's sticky error.
cudaError_t call(const std::function<void(Call&)>& body, OnFailedDevice onFailedDevice = OnFailedDevice::Refuse);

int currentDevice();
void setCurrentDevice(int device);

// CUDA may not be called from a host function.
class HostFunctionScope {
 public:
  HostFunctionScope();
  ~HostFunctionScope();
  HostFunctionScope(const HostFunctionScope&) = delete;
  HostFunctionScope& operator=(const HostFunctionScope&) = delete;
};

template <class T>
T& required(T* pointer, const char* name) {
  if (pointer == nullptr) throw Failure(cudaErrorInvalidValue, std::string(name) + " is null");
  return *pointer;
}

}  // namespace cuda_batchnorm::emulator
