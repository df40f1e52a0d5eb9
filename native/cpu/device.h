// The CPU as a device: one queue, the threads its work runs on, and a memory pool. All streams share the queue.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "../core/backend.h"
#include "memory_pool.h"
#include "queue.h"
#include "staging.h"
#include "stream.h"
#include "thread_pool.h"

namespace cuda_batchnorm::cpu {

// Used from one thread, like its streams; the work itself runs on the queue's.
class Device final : public cuda_batchnorm::Device {
 public:
  Device();

  const char* type() const override { return "cpu"; }
  std::string name() const override { return "cpu"; }
  std::string description() const override;

  void* allocate(size_t bytes, cuda_batchnorm::Stream* stream = nullptr) override;
  void release(void* block) noexcept override;
  MemoryUse memory() const override { return pool_.use(); }
  void setMemoryLimit(size_t bytes) override { pool_.setLimit(bytes); }
  void emptyCache() override;

  cuda_batchnorm::Stream& defaultStream() override { return defaultStream_; }
  std::unique_ptr<cuda_batchnorm::Stream> createStream() override { return std::make_unique<Stream>(*this); }
  std::unique_ptr<Capture> capture() override;
  void notify(Completion completion) override { defaultStream_.notify(std::move(completion)); }
  void synchronize() override { defaultStream_.synchronize(); }

  Queue& queue() { return queue_; }
  Staging& staging() { return staging_; }
  ThreadPool& threads() { return threads_; }  // for the work on the queue

 private:
  // Members are destroyed from the last to the first: the queue finishes its work while everything the work uses is there.
  Stream defaultStream_{*this};
  ThreadPool threads_;
  MemoryPool pool_;
  Staging staging_;
  Queue queue_;
};

BackendReport report();

}  // namespace cuda_batchnorm::cpu
