#include "capture.h"

#include <algorithm>
#include <utility>

namespace cuda_batchnorm::emulator {
namespace {

thread_local cudaStreamCaptureMode threadMode = cudaStreamCaptureModeGlobal;

void closeCapture(Driver& driver, const std::shared_ptr<Capture>& capture) {
  capture->close();
  driver.captures.erase(std::remove(driver.captures.begin(), driver.captures.end(), capture), driver.captures.end());
}

}  // namespace

void Capture::enter(const std::shared_ptr<Capture>& self, Stream& stream, const Clock& clock) {
  members_.push_back(&stream);
  stream.lane = CaptureLane{self, lines_++, clock};
}

void Capture::remove(Stream& stream) {
  members_.erase(std::remove(members_.begin(), members_.end(), &stream), members_.end());
  stream.lane.reset();
}

void Capture::add(CaptureLane& lane, Task task) {
  requireValid();
  const uint64_t before = lane.line < lane.clock.size() ? lane.clock[lane.line] : 0;
  const Place place{lane.line, before + 1};
  advance(lane.clock, place);
  graph_->nodes.push_back({std::move(task), place, std::make_shared<const Clock>(lane.clock)});
}

void Capture::close() {
  open_ = false;
  for (Stream* const stream : members_) stream->lane.reset();
  members_.clear();
}

void Capture::requireValid() const {
  if (!valid_) throw Failure(cudaErrorStreamCaptureInvalidated, "");
}

bool Capture::joinedIn(const CaptureLane& lane) const {
  return std::all_of(graph_->nodes.begin(), graph_->nodes.end(), [&](const Node& node) { return covers(lane.clock, node.place); });
}

bool Capture::prohibitsUnsafeCalls(cudaStreamCaptureMode mode) const {
  if (mode == cudaStreamCaptureModeRelaxed) return false;
  if (owner_ == std::this_thread::get_id()) return mode_ != cudaStreamCaptureModeRelaxed;
  return mode == cudaStreamCaptureModeGlobal && mode_ == cudaStreamCaptureModeGlobal;
}

bool Capture::includesStreamOf(const Device& device) const {
  return std::any_of(members_.begin(), members_.end(), [&](const Stream* stream) { return stream->device == &device; });
}

bool Capture::includesBlockingStreamOf(const Device& device) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const Stream* stream) { return stream->device == &device && (stream->flags & cudaStreamNonBlocking) == 0; });
}

void record(Stream& stream, Task task) { stream.lane->capture->add(*stream.lane, std::move(task)); }

void joinCapture(const std::shared_ptr<Stream>& stream, const CaptureLane& awaited) {
  const std::shared_ptr<Capture> capture = awaited.capture;
  if (!capture->open()) throw Failure(cudaErrorCapturedEvent, "its capture has ended");
  capture->requireValid();
  if (stream->number == 0) {
    capture->invalidate();
    throw Failure(cudaErrorStreamCaptureImplicit, "");
  }
  if (!stream->lane) {
    capture->enter(capture, *stream, awaited.clock);
  } else if (stream->lane->capture == capture) {
    join(stream->lane->clock, awaited.clock);
  } else {
    capture->invalidate();
    stream->lane->capture->invalidate();
    throw Failure(cudaErrorStreamCaptureMerge, "");
  }
}

void leaveCapture(Stream& stream) {
  if (!stream.lane) return;
  const std::shared_ptr<Capture> capture = stream.lane->capture;
  capture->invalidate();
  capture->remove(stream);
  if (capture->beganIn(stream)) closeCapture(driver(), capture);
}

void refuseCapturing(const Stream& stream) {
  if (!stream.lane) return;
  stream.lane->capture->invalidate();
  throw Failure(cudaErrorStreamCaptureUnsupported, "");
}

void refuseUnsafe(const Call& call) {
  for (const auto& capture : call.driver.captures) {
    if (!capture->prohibitsUnsafeCalls(threadMode)) continue;
    capture->invalidate();
    throw Failure(cudaErrorStreamCaptureUnsupported, "");
  }
}

void refuseDeviceCapturing(const Call& call) {
  for (const auto& capture : call.driver.captures) {
    if (!capture->includesStreamOf(call.device)) continue;
    capture->invalidate();
    throw Failure(cudaErrorStreamCaptureUnsupported, "");
  }
  refuseUnsafe(call);
}

void refuseImplicit(const Call& call, const Device& device) {
  for (const auto& capture : call.driver.captures) {
    if (!capture->includesBlockingStreamOf(device)) continue;
    capture->invalidate();
    throw Failure(cudaErrorStreamCaptureImplicit, "");
  }
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> origin = call.stream(stream);
    if (origin->number == 0) throw Failure(cudaErrorStreamCaptureUnsupported, "the default stream captures nothing");
    if (origin->lane) throw Failure(cudaErrorIllegalState, "the stream captures already");
    const auto capture = std::make_shared<Capture>(*origin, mode);
    capture->enter(capture, *origin, {});
    call.driver.captures.push_back(capture);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* pGraph) {
  return call([&](Call& call) {
    required(pGraph, "pGraph") = nullptr;
    const std::shared_ptr<Stream> origin = call.stream(stream);
    if (!origin->lane) throw Failure(cudaErrorIllegalState, "the stream does not capture");
    const CaptureLane lane = *origin->lane;
    if (!lane.capture->beganIn(*origin)) {
      lane.capture->invalidate();
      throw Failure(cudaErrorStreamCaptureUnmatched, "");
    }
    if (!lane.capture->mayEndHere()) throw Failure(cudaErrorStreamCaptureWrongThread, "");
    closeCapture(call.driver, lane.capture);
    lane.capture->requireValid();
    if (!lane.capture->joinedIn(lane)) throw Failure(cudaErrorStreamCaptureUnjoined, "");
    const std::shared_ptr<Graph>& graph = lane.capture->graph();
    *pGraph = reinterpret_cast<cudaGraph_t>(graph.get());
    call.driver.graphs.emplace(*pGraph, graph);
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* pCaptureStatus) {
  return call([&](Call& call) {
    cudaStreamCaptureStatus& status = required(pCaptureStatus, "pCaptureStatus");
    const std::shared_ptr<Stream> target = call.stream(stream);
    status = cudaStreamCaptureStatusNone;
    if (target->lane) status = target->lane->capture->valid() ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return call([&](Call&) { std::swap(threadMode, required(mode, "mode")); });
}
