// Captures: between begin and end, streams record their work as nodes of a graph instead of doing it. A stream that waits for an event of a
// capture joins it.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <thread>
#include <vector>

#include "driver.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {

struct Node {
  Task task;
  Place place;  // in the graph's own lines
  std::shared_ptr<const Clock> before;
};

struct Graph {
  std::vector<Node> nodes;  // in an order in which they may run
};

class Capture {
 public:
  Capture(Stream& origin, cudaStreamCaptureMode mode) : origin_(&origin), mode_(mode), owner_(std::this_thread::get_id()) {}

  void enter(const std::shared_ptr<Capture>& self, Stream& stream, const Clock& clock);
  void remove(Stream& stream);
  void add(CaptureLane& lane, Task task);
  // Streams return to their own work.
  void close();

  // Something happened that a graph cannot repeat.
  void invalidate() { valid_ = false; }
  void requireValid() const;
  // Everything that was captured comes before this point.
  bool joinedIn(const CaptureLane& lane) const;
  bool prohibitsUnsafeCalls(cudaStreamCaptureMode threadMode) const;
  bool includesStreamOf(const Device& device) const;
  bool includesBlockingStreamOf(const Device& device) const;

  bool open() const { return open_; }
  bool valid() const { return valid_; }
  bool beganIn(const Stream& stream) const { return origin_ == &stream; }
  bool mayEndHere() const { return mode_ == cudaStreamCaptureModeRelaxed || owner_ == std::this_thread::get_id(); }
  const std::shared_ptr<Graph>& graph() const { return graph_; }

 private:
  Stream* origin_;
  cudaStreamCaptureMode mode_;
  std::thread::id owner_;
  std::vector<Stream*> members_;
  size_t lines_ = 0;
  bool valid_ = true;
  bool open_ = true;
  std::shared_ptr<Graph> graph_ = std::make_shared<Graph>();
};

// The stream's next work, as a node.
void record(Stream& stream, Task task);

// A stream that waits for an event of a capture.
void joinCapture(const std::shared_ptr<Stream>& stream, const CaptureLane& awaited);

// A stream that is destroyed takes its capture with it.
void leaveCapture(Stream& stream);

// What CUDA does not do while streams capture; the captures are invalid then.
void refuseCapturing(const Stream& stream);                   // with this stream
void refuseUnsafe(const Call& call);                          // on this thread
void refuseImplicit(const Call& call, const Device& device);  // on the default stream
void refuseDeviceCapturing(const Call& call);                 // with the whole device

}  // namespace cuda_batchnorm::emulator
