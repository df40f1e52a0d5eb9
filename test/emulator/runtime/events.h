// Events: marks in a stream that other streams and the host wait for.
#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <memory>
#include <optional>

#include "driver.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {

// One recording of an event; recording it again makes another.
struct Mark {
  Clock clock;  // of the work before it
  bool done = false;
  std::chrono::steady_clock::time_point when;
};

struct Event {
  Device* device = nullptr;
  unsigned flags = 0;
  std::shared_ptr<Mark> mark;           // nullptr: never recorded, or captured
  std::optional<CaptureLane> captured;  // where in a capture it was recorded last
};

std::shared_ptr<Mark> markStream(Call& call, const std::shared_ptr<Stream>& stream);

// Later work of the stream comes after the mark.
void waitInStream(Call& call, const std::shared_ptr<Stream>& stream, const std::shared_ptr<Mark>& mark);

}  // namespace cuda_batchnorm::emulator
