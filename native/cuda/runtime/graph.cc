#include "graph.h"

#include <string>
#include <type_traits>
#include <utility>

#include "device.h"

namespace cuda_batchnorm::cuda {
namespace {

struct Destroy {
  void operator()(cudaGraph_t graph) const { quietly(cudaGraphDestroy(graph)); }
};
using GraphHandle = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, Destroy>;

}  // namespace

Kept::~Kept() {
  for (const void* block : blocks_) device_.release(const_cast<void*>(block));
}

void Kept::keep(const void* address) {
  if (!seen_.insert(address).second) return;
  blocks_.reserve(blocks_.size() + 1);
  const void* const block = device_.pool().retain(address);
  if (block != nullptr) blocks_.push_back(block);
}

Recording::Recording(Device& device) : device_(device), kept_(std::make_unique<Kept>(device)), stream_(std::make_shared<Stream>(device)) {
  // Relaxed: while work is recorded, memory is allocated and released on other streams.
  CUDA_CHECK(cudaStreamBeginCapture(stream_->handle(), cudaStreamCaptureModeRelaxed));
  device_.setRecording(this);
}

Recording::~Recording() {
  if (device_.recording() != this) return;
  cudaGraph_t graph = nullptr;
  quietly(cudaStreamEndCapture(stream_->handle(), &graph));
  const GraphHandle recorded(graph);
  device_.setRecording(nullptr);
}

std::shared_ptr<cuda_batchnorm::Stream> Recording::stream() { return stream_; }

std::unique_ptr<Graph> Recording::finish() {
  device_.select();
  device_.setRecording(nullptr);
  cudaGraph_t graph = nullptr;
  CUDA_CHECK(cudaStreamEndCapture(stream_->handle(), &graph));
  const GraphHandle recorded(graph);
  return std::make_unique<RecordedGraph>(device_, graph, std::move(kept_), stream_->lane());
}

void Recording::use(const Stream& stream, const void* const* first, const void* const* last) {
  if (&stream != stream_.get()) {
    throw Error(ErrorCode::State, "Expected no work on another stream of " + device_.name() + " while a graph is captured there");
  }
  for (; first != last; ++first) kept_->keep(*first);
}

RecordedGraph::RecordedGraph(Device& device, cudaGraph_t recorded, std::unique_ptr<Kept> kept, std::shared_ptr<Lane> lane)
    : device_(device), kept_(std::move(kept)), lane_(std::move(lane)) {
  CUDA_CHECK(cudaGraphInstantiateWithFlags(&executable_, recorded, 0));
}

// CUDA finishes a launch that is under way.
RecordedGraph::~RecordedGraph() { quietly(cudaGraphExecDestroy(executable_)); }

void RecordedGraph::launch(cuda_batchnorm::Stream& stream) {
  device_.refuseWhileRecording("launch");
  auto& queue = static_cast<Stream&>(stream);
  const auto& blocks = kept_->blocks();
  queue.use(blocks.data(), blocks.data() + blocks.size());
  CUDA_CHECK(cudaGraphLaunch(executable_, queue.handle()));
}

}  // namespace cuda_batchnorm::cuda
