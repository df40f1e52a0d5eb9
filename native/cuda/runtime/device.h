// One GPU, as one JavaScript environment sees it.
#pragma once

#include <memory>
#include <string>

#include "../../core/backend.h"
#include "../properties.h"
#include "graph.h"
#include "lane.h"
#include "memory.h"
#include "staging.h"
#include "stream.h"
#include "waiter.h"

namespace cuda_batchnorm::cuda {

// Used from one thread, like its streams.
class Device final : public cuda_batchnorm::Device {
 public:
  explicit Device(int number);
  ~Device() override;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceProperties& properties() const { return properties_; }

  const char* type() const override { return "cuda"; }
  std::string name() const override { return "cuda:" + std::to_string(number_); }
  std::string description() const override;

  void* allocate(size_t bytes, cuda_batchnorm::Stream* stream = nullptr) override;
  void release(void* block) noexcept override;
  MemoryUse memory() const override { return memory_.use(); }
  void setMemoryLimit(size_t bytes) override;
  void emptyCache() override;

  cuda_batchnorm::Stream& defaultStream() override { return defaultStream_; }
  std::unique_ptr<cuda_batchnorm::Stream> createStream() override;
  std::unique_ptr<Capture> capture() override;
  void notify(Completion completion) override;
  void synchronize() override;

  // ---- for streams and graphs ----

  // Makes it the thread's current device: other devices, and other libraries, may have made theirs that.
  void select() const { CUDA_CHECK(cudaSetDevice(number_)); }
  std::shared_ptr<Lane> openLane();
  bool hasOneLane() const { return lanes_.size() == 1; }  // the default stream's: there is nothing to keep in order
  Memory& pool() { return memory_; }
  Staging& staging() { return staging_; }
  // Where memory for work on the stream is allocated. While a graph is recorded not on its stream: allocations are no part of it.
  const std::shared_ptr<Lane>& homeOf(const Stream* stream) const;

  Recording* recording() const { return recording_; }  // null while no graph is captured
  void setRecording(Recording* recording) { recording_ = recording; }
  void refuseWhileRecording(const char* action) const;

 private:
  bool isRecorded(const Lane* lane) const;
  void waitForLanes() const;

  // Members are destroyed from the last to the first: blocks and streams before the lanes they are on are forgotten.
  const int number_;
  const DeviceProperties properties_;
  Lanes lanes_;
  Recording* recording_ = nullptr;
  Staging staging_;
  Memory memory_;
  Waiter waiter_{number_};
  Stream defaultStream_{*this};
};

}  // namespace cuda_batchnorm::cuda
