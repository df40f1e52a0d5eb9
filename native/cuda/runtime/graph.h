// Work recorded once, to be launched again and again.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "../../core/backend.h"
#include "check.h"

namespace cuda_batchnorm::cuda {

class Device;
class Lane;
class Stream;

// Blocks of a device's memory that stay at least as long as this.
class Kept {
 public:
  explicit Kept(Device& device) : device_(device) {}
  ~Kept();
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void keep(const void* address);
  const std::vector<const void*>& blocks() const { return blocks_; }

 private:
  Device& device_;
  std::set<const void*> seen_;
  std::vector<const void*> blocks_;
};

// What goes on while a graph is captured.
class Recording final : public Capture {
 public:
  explicit Recording(Device& device);
  ~Recording() override;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  std::shared_ptr<cuda_batchnorm::Stream> stream() override;
  std::unique_ptr<Graph> finish() override;

  // Notes the memory that work on this stream uses. Throws ErrorCode::State for a stream that is not the recorded one.
  void use(const Stream& stream, const void* const* first, const void* const* last);
  const Stream& recorded() const { return *stream_; }

 private:
  Device& device_;
  std::unique_ptr<Kept> kept_;
  std::shared_ptr<Stream> stream_;
};

class RecordedGraph final : public Graph {
 public:
  RecordedGraph(Device& device, cudaGraph_t recorded, std::unique_ptr<Kept> kept, std::shared_ptr<Lane> lane);
  ~RecordedGraph() override;
  RecordedGraph(const RecordedGraph&) = delete;
  RecordedGraph& operator=(const RecordedGraph&) = delete;

  void launch(cuda_batchnorm::Stream& stream) override;

 private:
  Device& device_;
  std::unique_ptr<Kept> kept_;
  const std::shared_ptr<Lane> lane_;  // its work was recorded on; a library's memory for that stream may be part of it
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace cuda_batchnorm::cuda
