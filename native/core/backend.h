// The interface CPU, CUDA and cuDNN implement: a Device owns memory, a Stream keeps work in order, a Backend knows the
// three operations of batch normalization. Arguments arrive checked; what can still fail is memory and the device itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "operation.h"

namespace cuda_batchnorm {

struct MemoryUse {
  size_t live = 0;      // bytes handed out now
  size_t peak = 0;      // most bytes ever handed out at once
  size_t reserved = 0;  // bytes taken from the system: live, rounding and cached blocks
  size_t limit = 0;     // most bytes it may reserve
};

// Called once, on any thread, when all earlier work of the stream is done; `error` is null when it went well.
using Completion = std::function<void(std::exception_ptr error)>;

// A place in the order of a stream.
class Event {
 public:
  virtual ~Event() = default;
  virtual void notify(Completion completion) = 0;  // when all that came before this place is done
  // Milliseconds between two events of one device, for which somebody has waited.
  virtual double since(const Event& earlier) const = 0;
};

// An in-order queue. Every call returns at once; only synchronize() waits. Pointers are device memory unless called host.
//
// Work that different streams do on the same memory is in no order but that of events. Host copies and copy() are: they follow
// what any stream was given before, and what any stream is given later follows them.
class Stream {
 public:
  virtual ~Stream() = default;

  // Takes a snapshot of the host memory before it returns.
  virtual void upload(void* destination, DType to, const void* host, DType from, int64_t count) = 0;
  // The host memory must stay valid until the work is done.
  virtual void download(void* host, DType to, const void* source, DType from, int64_t count) = 0;
  virtual void copy(void* destination, const void* source, size_t bytes) = 0;
  virtual void fill(void* destination, DType dtype, int64_t count, double value) = 0;

  virtual std::unique_ptr<Event> record() = 0;
  virtual void wait(const Event& event) = 0;  // what comes later here follows what came before there; events of the same device

  virtual void notify(Completion completion) = 0;
  virtual void synchronize() = 0;
};

// Work that was recorded once, to be done again and again. Holds on to all memory of the device that it uses.
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch(Stream& stream) = 0;
};

// The recording of a graph. While there is one, its stream is the only one of the device that takes work, and work that needs the host
// is refused with ErrorCode::State. Destroyed before finish(), it forgets what was recorded.
class Capture {
 public:
  virtual ~Capture() = default;
  virtual std::shared_ptr<Stream> stream() = 0;
  virtual std::unique_ptr<Graph> finish() = 0;
};

// Memory is ordered with the work: release() may be called while work that uses the block is queued, and whoever gets
// the block next is queued behind it.
class Device {
 public:
  virtual ~Device() = default;
  virtual const char* type() const = 0;  // "cpu", "cuda"
  virtual std::string name() const = 0;  // "cpu", "cuda:0"
  virtual std::string description() const = 0;

  // Aligned to 64 bytes. `stream` is the one whose work will use it first; the default one when left out.
  // Throws ErrorCode::OutOfMemory with byte counts.
  virtual void* allocate(size_t bytes, Stream* stream = nullptr) = 0;
  virtual void release(void* block) noexcept = 0;
  virtual MemoryUse memory() const = 0;
  virtual void setMemoryLimit(size_t bytes) = 0;
  virtual void emptyCache() = 0;  // gives idle blocks back to the system; waits for queued work first

  virtual Stream& defaultStream() = 0;
  virtual std::unique_ptr<Stream> createStream() = 0;
  virtual std::unique_ptr<Capture> capture() = 0;  // throws ErrorCode::State where there is one already, or the device has no graphs
  virtual void notify(Completion completion) = 0;  // after all streams' earlier work
  virtual void synchronize() = 0;
};

enum class Operation { TrainingForward, InferenceForward, Backward };

// An operation without its memory. The flags say which of the arguments that change its work are given.
struct Outline {
  Operation operation = Operation::TrainingForward;
  Problem problem;
  bool residual = false, mask = false;
  bool running = false;                                             // training forward
  bool constantStatistics = false;                                  // backward
  bool gradWeight = false, gradBias = false, gradResidual = false;  // backward
};

// A kernel that an operation launches, and the bytes it moves to and from the device's memory.
struct KernelLaunch {
  std::string kernel;
  uint32_t grid = 0;   // blocks
  uint32_t block = 0;  // threads of each
  uint32_t sharedBytes = 0;
  int64_t bytesRead = 0;
  int64_t bytesWritten = 0;
  uint32_t blocksPerProcessor = 0;  // that the plan counts on to run at once
  std::string team;                 // block, cluster or grid: how blocks share a channel; empty where they do not
  uint32_t teamBlocks = 0;
  double seconds = 0;  // predicted; 0 where nothing is
};

class Backend {
 public:
  virtual ~Backend() = default;
  // What the operation would launch, all tensors being aligned; nothing where there are no kernels to launch.
  virtual std::vector<KernelLaunch> explain(const Device&, const Outline&) const { return {}; }
  // Forces a choice upon all plans from now on, in the words of CUDA_BATCHNORM_PLAN; for tests and for tuning.
  virtual void force(const std::string& /*choice*/) {}
  // Bytes of the mask that stands for the residual in backward; 0: this backend wants the residual itself. cuDNN's is its reserve space,
  // which it may want without a residual too.
  virtual size_t maskBytes(Device& device, const Problem& problem, bool residual) const = 0;
  virtual void trainingForward(Stream& stream, const TrainingForward& call) = 0;
  virtual void inferenceForward(Stream& stream, const InferenceForward& call) = 0;
  virtual void backward(Stream& stream, const Backward& call) = 0;
};

struct BackendReport {
  std::string name;  // "cpu", "cuda", "cudnn"
  bool available = false;
  std::string reason;   // why not, in words; empty when available
  std::string cause;    // the same for programs: one of the words below; empty when available
  std::string version;  // CPU: instruction set and threads; CUDA: runtime; cuDNN: its version; empty when unknown
  std::string path;     // of a library that was opened at run time
};

// Why a backend does not work.
namespace cause {
constexpr char kNotBuilt[] = "not-built";           // this build does not contain it
constexpr char kNoDriver[] = "no-driver";           // no NVIDIA driver
constexpr char kDriverTooOld[] = "driver-too-old";  // older than the CUDA runtime
constexpr char kNoDevice[] = "no-device";           // no GPU
constexpr char kDeviceTooOld[] = "device-too-old";  // no GPU of a generation this package has kernels for
constexpr char kNotFound[] = "not-found";           // the library
constexpr char kOtherVersion[] = "other-version";   // the library is of another major version
constexpr char kUnreadable[] = "unreadable";        // the library is there and cannot be loaded
constexpr char kNoCuda[] = "no-cuda";               // the library is there, but CUDA does not work
constexpr char kFailed[] = "failed";                // the library itself reports an error
}  // namespace cause

}  // namespace cuda_batchnorm
