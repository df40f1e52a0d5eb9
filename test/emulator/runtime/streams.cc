#include "streams.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "../memory.h"
#include "capture.h"
#include "pools.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr std::chrono::seconds kPatience{1};     // for other streams, before a fault is told
constexpr std::chrono::seconds kEndPatience{5};  // for threads, before the process ends without them

// Ends the streams' threads when the process ends, or the library leaves it.
struct Ending {
  ~Ending();
};

uint64_t mixed(uint64_t seed, uint64_t value) {
  uint64_t bits = (seed ^ value) + 0x9e3779b97f4a7c15u;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return bits ^ (bits >> 31);
}

void leave(Driver& driver, const std::shared_ptr<Stream>& stream) {
  driver.lines.giveBack(stream->line);
  driver.living.erase(stream);
}

// What seems to be an uninitialised read may be a read that did not wait for the write. The other streams go on for a while, so that the
// one that writes can be told by name.
void letOthersGoOn(Driver& driver, Stream& stream, std::unique_lock<std::mutex>& lock) {
  const auto quiet = [&](const std::shared_ptr<Stream>& other) {
    return other->device != stream.device || other->idle() || other->blocked || other.get() == &stream;
  };
  stream.blocked = true;
  driver.progress.notify_all();
  driver.progress.wait_for(lock, kPatience, [&] {
    return driver.ending || stream.device->sickness || std::all_of(driver.living.begin(), driver.living.end(), quiet);
  });
  stream.blocked = false;
}

void perform(Driver& driver, Stream& stream, const Stream::Job& job, std::unique_lock<std::mutex>& lock) {
  const Turn turn{*stream.device, stream.number, job.order,
                  mixed(mixed(driver.seed, static_cast<uint64_t>(stream.number)), job.order.place.time)};
  std::optional<Fault> fault;
  lock.unlock();
  try {
    job.task.run(turn);
  } catch (const Fault& thrown) {
    fault = thrown;
  }
  lock.lock();
  if (!fault) return;
  if (fault->kind() == kind::kUninitialisedRead) letOthersGoOn(driver, stream, lock);
  driver.fail(*stream.device, *fault);
}

void work(const std::shared_ptr<Stream>& stream) {
  Driver& state = driver();
  std::unique_lock<std::mutex> lock(state.mutex);
  for (;;) {
    stream->wake.wait(lock, [&] { return state.ending || stream->closing || !stream->queue.empty(); });
    if (state.ending || stream->queue.empty()) break;
    const Stream::Job job = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (job.task.always || !stream->device->sickness) perform(state, *stream, job, lock);
    ++stream->done;
    state.progress.notify_all();
  }
  state.ended.push_back(std::move(stream->thread));
  leave(state, stream);
  state.progress.notify_all();
}

Ending::~Ending() {
  Driver& state = driver();
  std::unique_lock<std::mutex> lock(state.mutex);
  state.ending = true;
  for (const auto& stream : state.living) stream->wake.notify_all();
  state.progress.notify_all();
  state.progress.wait_for(lock, kEndPatience, [&] {
    return std::none_of(state.living.begin(), state.living.end(), [](const auto& stream) { return stream->thread.joinable(); });
  });
  for (std::thread& thread : state.ended) thread.join();
  state.ended.clear();
}

void begin(const std::shared_ptr<Stream>& stream) {
  if (stream->thread.joinable()) return;
  liveBytes();  // what kernels need is made before `ending`, and so outlives it
  static const Ending ending;
  stream->thread = std::thread([stream] { work(stream); });
}

void enqueue(Driver& driver, const std::shared_ptr<Stream>& stream, Task task) {
  stream->queue.push_back({std::move(task), nextOrder(driver, *stream)});
  ++stream->submitted;
  begin(stream);
  stream->wake.notify_one();
}

// CUDA orders the default stream with all streams that do not ask to be left alone.
void waitForBlockingStreams(Call& call, const Device& device) {
  const std::set<std::shared_ptr<Stream>> living = call.driver.living;
  for (const auto& stream : living) {
    if (stream->device == &device && stream->number != 0 && (stream->flags & cudaStreamNonBlocking) == 0) waitFor(call, *stream);
  }
}

}  // namespace

std::shared_ptr<Stream> makeStream(Driver& driver, Device& device, int number, unsigned flags) {
  for (std::thread& thread : driver.ended) thread.join();
  driver.ended.clear();
  auto stream = std::make_shared<Stream>();
  stream->device = &device;
  stream->number = number;
  stream->flags = flags;
  stream->line = driver.lines.take(driver.host);
  driver.living.insert(stream);
  return stream;
}

Order nextOrder(Driver& driver, Stream& stream) {
  const Place place = driver.lines.next(stream.line);
  join(stream.clock, driver.host);
  advance(stream.clock, place);
  return {place, std::make_shared<const Clock>(stream.clock), 0, {}, nullptr};
}

void submit(Call& call, const std::shared_ptr<Stream>& stream, Task task) {
  if (stream->lane) {
    record(*stream, std::move(task));
  } else if (stream->number != 0) {
    enqueue(call.driver, stream, std::move(task));
  } else {
    refuseImplicit(call, *stream->device);
    waitForBlockingStreams(call, *stream->device);
    enqueue(call.driver, stream, std::move(task));
    waitFor(call, *stream);
    stream->device->requireHealthy();
  }
}

void waitFor(Call& call, Stream& stream) {
  const uint64_t target = stream.submitted;
  const Clock clock = stream.clock;
  call.waitUntil([&] { return stream.done >= target; });
  join(call.driver.host, clock);
}

void waitForDevice(Call& call, const Device& device) {
  const std::set<std::shared_ptr<Stream>> living = call.driver.living;
  for (const auto& stream : living) {
    if (stream->device == &device) waitFor(call, *stream);
  }
}

void waitForAllDevices(Call& call) {
  for (const auto& device : call.driver.devices) waitForDevice(call, *device);
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaStreamCreate(cudaStream_t* pStream) { return cudaStreamCreateWithFlags(pStream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* pStream, unsigned int flags, int /*priority*/) {
  return cudaStreamCreateWithFlags(pStream, flags);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* pStream, unsigned int flags) {
  return call([&](Call& call) {
    required(pStream, "pStream");
    if (flags > cudaStreamNonBlocking) throw Failure(cudaErrorInvalidValue, "flags");
    const auto stream = makeStream(call.driver, call.device, ++call.driver.lastStream, flags);
    *pStream = reinterpret_cast<cudaStream_t>(stream.get());
    call.driver.streams.emplace(*pStream, stream);
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call(
      [&](Call& call) {
        const auto found = call.driver.streams.find(stream);
        if (found == call.driver.streams.end()) throw Failure(cudaErrorInvalidResourceHandle, "no such stream");
        const std::shared_ptr<Stream> gone = found->second;
        call.driver.streams.erase(found);
        leaveCapture(*gone);
        gone->closing = true;
        gone->wake.notify_one();
        if (!gone->thread.joinable()) leave(call.driver, gone);
      },
      OnFailedDevice::Proceed);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> target = call.stream(stream);
    refuseCapturing(*target);
    refuseUnsafe(call);
    waitFor(call, *target);
    target->device->requireHealthy();
    releaseIdleMemory(*target->device);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> target = call.stream(stream);
    refuseCapturing(*target);
    refuseUnsafe(call);
    if (!target->idle()) throw Failure(cudaErrorNotReady, "");
    join(call.driver.host, target->clock);
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t hStream, unsigned int* flags) {
  return call([&](Call& call) { required(flags, "flags") = call.stream(hStream)->flags; });
}

cudaError_t cudaStreamGetDevice(cudaStream_t hStream, int* device) {
  return call([&](Call& call) { required(device, "device") = call.stream(hStream)->device->index; });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void* userData) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> target = call.stream(stream);
    required(fn, "fn");
    submit(call, target, {"host function", [fn, userData](const Turn& turn) {
                            {
                              // The host learns from the function that everything before it is done.
                              Driver& state = driver();
                              const std::lock_guard<std::mutex> lock(state.mutex);
                              join(state.host, *turn.order.before);
                            }
                            const HostFunctionScope scope;
                            fn(userData);
                          }});
  });
}
