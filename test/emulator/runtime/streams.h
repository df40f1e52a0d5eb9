// Streams: each is a thread that does its work in order while the host goes on.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "driver.h"
#include "ordering.h"

namespace cuda_batchnorm::emulator {

class Capture;

// What work knows when its turn comes.
struct Turn {
  Device& device;
  int stream;
  Order order;
  uint64_t seed;

  Use use(const std::string& by, bool write, size_t first = 0, size_t end = SIZE_MAX) const {
    return {by, stream, order, write, first, end};
  }
};

struct Task {
  std::string name;
  std::function<void(const Turn&)> run;  // without the lock; throws Fault
  bool always = false;                   // on a failed device too
};

// Where a capturing stream stands: a line of work in the graph.
struct CaptureLane {
  std::shared_ptr<Capture> capture;
  size_t line = 0;
  Clock clock;
};

struct Stream {
  struct Job {
    Task task;
    Order order;
  };

  Device* device = nullptr;
  int number = 0;  // for messages; 0 is the default stream
  unsigned flags = 0;
  std::optional<CaptureLane> lane;  // while it captures

  // Order of calls.
  size_t line = 0;
  Clock clock;
  uint64_t submitted = 0;

  // Order of work.
  std::deque<Job> queue;
  uint64_t done = 0;
  bool blocked = false;  // waits for another stream
  bool closing = false;
  std::condition_variable wake;
  std::thread thread;  // runs from the first work on

  bool idle() const { return done == submitted; }
};

// Number 0 is the device's default stream.
std::shared_ptr<Stream> makeStream(Driver& driver, Device& device, int number, unsigned flags);

// The order of whatever comes next in the stream.
Order nextOrder(Driver& driver, Stream& stream);

// Queues the task, or records it where the stream captures. On the default stream it waits for the streams that CUDA orders with it, and
// for the task.
void submit(Call& call, const std::shared_ptr<Stream>& stream, Task task);

// Wait for what was submitted before; the host knows of it then. Devices that failed drop their work, and are not waited for in vain.
void waitFor(Call& call, Stream& stream);
void waitForDevice(Call& call, const Device& device);
void waitForAllDevices(Call& call);

}  // namespace cuda_batchnorm::emulator
