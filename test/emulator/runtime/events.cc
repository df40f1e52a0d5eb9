#include "events.h"

#include <utility>

#include "capture.h"
#include "pools.h"

namespace cuda_batchnorm::emulator {
namespace {

// The host may ask only about marks in streams, not in a graph.
void requireUncaptured(const Event& event) {
  if (!event.captured) return;
  event.captured->capture->invalidate();
  throw Failure(cudaErrorCapturedEvent, "");
}

const Mark& timedMark(const Event& event) {
  requireUncaptured(event);
  if (event.mark == nullptr) throw Failure(cudaErrorInvalidResourceHandle, "the event was never recorded");
  if ((event.flags & cudaEventDisableTiming) != 0) throw Failure(cudaErrorInvalidResourceHandle, "the event takes no times");
  return *event.mark;
}

}  // namespace

std::shared_ptr<Mark> markStream(Call& call, const std::shared_ptr<Stream>& stream) {
  auto mark = std::make_shared<Mark>();
  mark->clock = stream->clock;
  const auto complete = [mark](const Turn&) {
    Driver& state = driver();
    const std::lock_guard<std::mutex> lock(state.mutex);
    mark->when = std::chrono::steady_clock::now();
    mark->done = true;
    state.progress.notify_all();
  };
  submit(call, stream, {"cudaEventRecord", complete, true});
  return mark;
}

void waitInStream(Call& call, const std::shared_ptr<Stream>& stream, const std::shared_ptr<Mark>& mark) {
  join(stream->clock, mark->clock);
  const auto wait = [mark, waiting = stream.get()](const Turn&) {
    Driver& state = driver();
    std::unique_lock<std::mutex> lock(state.mutex);
    waiting->blocked = true;
    state.progress.notify_all();
    state.progress.wait(lock, [&] { return state.ending || mark->done; });
    waiting->blocked = false;
  };
  submit(call, stream, {"cudaStreamWaitEvent", wait, true});
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  return call([&](Call& call) {
    required(event, "event");
    if ((flags & ~(cudaEventBlockingSync | cudaEventDisableTiming)) != 0u) throw Failure(cudaErrorInvalidValue, "flags");
    auto created = std::make_shared<Event>();
    created->device = &call.device;
    created->flags = flags;
    *event = reinterpret_cast<cudaEvent_t>(created.get());
    call.driver.events.emplace(*event, std::move(created));
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call(
      [&](Call& call) {
        if (call.driver.events.erase(event) == 0) throw Failure(cudaErrorInvalidResourceHandle, "no such event");
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call([&](Call& call) {
    Event& target = call.event(event);
    const std::shared_ptr<Stream> source = call.stream(stream);
    if (source->device != target.device)
      throw Failure(cudaErrorInvalidResourceHandle, "the event and the stream belong to different devices");
    if (source->lane) source->lane->capture->requireValid();
    target.captured = source->lane;
    target.mark = nullptr;
    if (!source->lane) target.mark = markStream(call, source);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> waiting = call.stream(stream);
    const Event& awaited = call.event(event);
    if (flags != cudaEventWaitDefault) throw Failure(cudaErrorInvalidValue, "flags");
    if (awaited.captured) {
      joinCapture(waiting, *awaited.captured);
    } else if (waiting->lane) {
      waiting->lane->capture->invalidate();
      throw Failure(cudaErrorStreamCaptureIsolation, "");
    } else if (awaited.mark != nullptr) {
      waitInStream(call, waiting, awaited.mark);
    }
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call([&](Call& call) {
    const Event& target = call.event(event);
    requireUncaptured(target);
    refuseUnsafe(call);
    const std::shared_ptr<Mark> mark = target.mark;
    Device& device = *target.device;
    if (mark == nullptr) return;
    call.waitUntil([&] { return mark->done; });
    join(call.driver.host, mark->clock);
    device.requireHealthy();
    releaseIdleMemory(device);
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call([&](Call& call) {
    const Event& target = call.event(event);
    requireUncaptured(target);
    refuseUnsafe(call);
    if (target.mark == nullptr) return;
    if (!target.mark->done) throw Failure(cudaErrorNotReady, "");
    join(call.driver.host, target.mark->clock);
  });
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  return call([&](Call& call) {
    const Mark& first = timedMark(call.event(start));
    const Mark& last = timedMark(call.event(end));
    if (!first.done || !last.done) throw Failure(cudaErrorNotReady, "");
    required(ms, "ms") = std::chrono::duration<float, std::milli>(last.when - first.when).count();
  });
}
