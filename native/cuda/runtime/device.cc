#include "device.h"

#include <utility>
#include <vector>

#include "../../core/error.h"

namespace cuda_batchnorm::cuda {
namespace {

// Peak of the memory: two transfers in each cycle, all wires.
double bandwidthOf(int number) {
  int kilohertz, bits;
  CUDA_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, number));
  CUDA_CHECK(cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, number));
  constexpr double kUnknown = 500e9;  // where the driver does not tell: any number will do to compare plans by
  return kilohertz > 0 && bits > 0 ? 2e3 * kilohertz * bits / 8 : kUnknown;
}

DeviceProperties propertiesOf(int number) {
  CUDA_CHECK(cudaSetDevice(number));
  cudaDeviceProp told;
  CUDA_CHECK(cudaGetDeviceProperties(&told, number));
  DeviceProperties properties;
  properties.name = told.name;
  properties.major = told.major;
  properties.minor = told.minor;
  properties.multiprocessors = told.multiProcessorCount;
  properties.sharedPerBlock = told.sharedMemPerBlockOptin;
  properties.sharedPerMultiprocessor = told.sharedMemPerMultiprocessor;
  properties.sharedReserved = told.reservedSharedMemPerBlock;
  properties.threadsPerMultiprocessor = told.maxThreadsPerMultiProcessor;
  properties.registersPerMultiprocessor = told.regsPerMultiprocessor;
  properties.cooperative = told.cooperativeLaunch != 0;
  properties.bytesPerSecond = bandwidthOf(number);
  properties.memoryBytes = told.totalGlobalMem;
  return properties;
}

}  // namespace

Device::Device(int number)
    : number_(number),
      properties_(propertiesOf(number)),
      memory_(number, Device::name(), properties_.memoryBytes, [this] { waitForLanes(); }) {}

Device::~Device() {
  quietly(cudaSetDevice(number_));
  for (const Lane* lane : lanes_) quietly(cudaStreamSynchronize(lane->handle()));
}

std::string Device::description() const {
  constexpr size_t kGibibyte = size_t{1} << 30;
  return properties_.name + ", compute capability " + std::to_string(properties_.major) + "." + std::to_string(properties_.minor) + ", " +
         std::to_string(properties_.memoryBytes / kGibibyte) + " GiB";
}

void* Device::allocate(size_t bytes, cuda_batchnorm::Stream* stream) {
  select();
  return memory_.allocate(bytes, homeOf(static_cast<Stream*>(stream)));
}

void Device::release(void* block) noexcept {
  quietly(cudaSetDevice(number_));
  memory_.release(block);
}

void Device::setMemoryLimit(size_t bytes) {
  select();
  memory_.setLimit(bytes);
}

void Device::emptyCache() {
  select();
  refuseWhileRecording("emptying of the cache");
  memory_.trim();
  staging_.trim();
}

std::unique_ptr<cuda_batchnorm::Stream> Device::createStream() { return std::make_unique<Stream>(*this); }

std::unique_ptr<Capture> Device::capture() {
  refuseWhileRecording("other capture");
  return std::make_unique<Recording>(*this);
}

void Device::notify(Completion completion) {
  if (hasOneLane()) return defaultStream_.notify(std::move(completion));
  select();
  std::vector<SharedEvent> events;
  for (const Lane* lane : lanes_) {
    if (!isRecorded(lane)) events.push_back(lane->mark());
  }
  waiter_.submit(std::move(events), std::move(completion));
}

// Whoever asked to be told before has been told, when this returns or throws.
void Device::synchronize() {
  for (Lane* lane : lanes_) lane->waiter().drain();
  waiter_.drain();
  select();
  refuseWhileRecording("wait");
  waitForLanes();
}

std::shared_ptr<Lane> Device::openLane() {
  select();
  return std::make_shared<Lane>(number_, lanes_);
}

const std::shared_ptr<Lane>& Device::homeOf(const Stream* stream) const {
  return stream == nullptr || recording_ != nullptr ? defaultStream_.lane() : stream->lane();
}

void Device::refuseWhileRecording(const char* action) const {
  if (recording_ == nullptr) return;
  throw Error(ErrorCode::State, std::string("Expected no ") + action + " while a graph is captured on " + name() +
                                    ": only work of the device can be part of a graph");
}

// Its work is not done now: there is nothing to wait for.
bool Device::isRecorded(const Lane* lane) const { return recording_ != nullptr && recording_->recorded().lane().get() == lane; }

void Device::waitForLanes() const {
  for (const Lane* lane : lanes_) {
    if (!isRecorded(lane)) CUDA_CHECK(cudaStreamSynchronize(lane->handle()));
  }
}

}  // namespace cuda_batchnorm::cuda
