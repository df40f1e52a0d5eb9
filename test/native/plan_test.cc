// The CUDA plan, for devices of every generation and problems of every kind: each element is some block's, exactly once; nothing asks for
// more than the device has; large problems fill it.
#include "../../native/cuda/plan.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <vector>

#include "check.h"

using namespace cuda_batchnorm;
using namespace cuda_batchnorm::cuda;

namespace {

DeviceProperties device(const char* name, int major, int minor, int multiprocessors, size_t sharedPerBlock) {
  DeviceProperties properties;
  properties.name = name;
  properties.major = major;
  properties.minor = minor;
  properties.multiprocessors = multiprocessors;
  properties.sharedPerBlock = sharedPerBlock;
  return properties;
}

// Limits from the CUDA programming guide's table of compute capabilities; multiprocessors from the products' data sheets.
const std::vector<DeviceProperties> kDevices = {
    device("T4", 7, 5, 40, 64 << 10),         device("A100", 8, 0, 108, 163 << 10), device("RTX 3090", 8, 6, 82, 99 << 10),
    device("L4", 8, 9, 58, 99 << 10),         device("H200", 9, 0, 132, 227 << 10), device("B200", 10, 0, 148, 227 << 10),
    device("RTX 5090", 12, 0, 170, 99 << 10),
};

constexpr int64_t kHuge = int64_t{1} << 34;  // more than 32 bits count, also in accesses of four

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t width(const Request& request, const Step& step) {
  return step.wide ? kAccessBytes / static_cast<int64_t>(sizeOf(request.problem.dtype)) : 1;
}

// ---- what each cut has to be ----

void checkRuns(const Request& request, const RunsCut& cut, const Step& step) {
  const Problem& p = request.problem;
  CHECK(cut.rowsPerChunk >= 1 && cut.partLength >= 1);
  CHECK(cut.partsPerRun == ceilDiv(p.inner, cut.partLength));
  CHECK(cut.chunks == ceilDiv(p.outer, cut.rowsPerChunk) * cut.partsPerRun);
  CHECK(step.shape.grid == cut.chunks * p.channels);
  CHECK(cut.chunks == 1 || p.channels <= kArrivalCounters);
  // A part fits its slots wherever it begins; chunks of several rows have whole runs.
  const int64_t v = width(request, step);
  const bool aligned = p.inner % v == 0 && cut.partLength % v == 0;
  CHECK(cut.slotsPerPart.value() * v >= cut.partLength + (aligned ? 0 : v - 1));
  CHECK(cut.rowsPerChunk == 1 || cut.partsPerRun == 1);
  CHECK(cut.rowsPerChunk * cut.slotsPerPart.value() < int64_t{1} << 31);
}

void checkColumns(const Request& request, const ColumnsCut& cut, const Step& step) {
  const Problem& p = request.problem;
  const int64_t v = width(request, step);
  CHECK(cut.size == p.size() && cut.width == p.channels * cut.fold && cut.width % v == 0);
  CHECK(cut.rows == ceilDiv(cut.size, cut.width));
  CHECK(cut.threadsX >= 1 && cut.threadsX * cut.threadsY <= step.shape.block && cut.threadsY >= 1);
  CHECK(int64_t{cut.tiles} * cut.threadsX * v >= cut.width && (int64_t{cut.tiles} - 1) * cut.threadsX * v < cut.width);
  CHECK(cut.chunks * cut.rowsPerChunk >= cut.rows && (cut.chunks - int64_t{1}) * cut.rowsPerChunk < cut.rows);
  CHECK(step.shape.grid == cut.tiles * cut.chunks);
  CHECK(cut.chunks == 1 || cut.tiles <= kArrivalCounters);
  CHECK(cut.fold == 1 || cut.tiles == 1);  // folded columns of a channel meet in one block
  if (step.kernel == Kernel::TransformColumns && request.mask)
    CHECK(cut.width % 8 == 0 && v > 1 && (cut.tiles > 1 ? cut.threadsX : cut.threadsX * cut.threadsY) * v % 8 == 0);
}

void checkInOrder(const Request& request, const InOrderCut& cut, const Step& step) {
  const Problem& p = request.problem;
  CHECK(cut.size == p.size() && cut.inner == p.inner && cut.channels == p.channels);
  CHECK(step.shape.grid == ceilDiv(cut.size, cut.elementsPerBlock));
  CHECK(cut.elementsPerBlock % (step.shape.block * width(request, step)) == 0);
}

void checkResident(const Request& request, const Plan& plan, const Step& step, int64_t tensors) {
  const Problem& p = request.problem;
  CHECK(plan.runs.chunks == 1 && plan.runs.rowsPerChunk == p.outer && plan.runs.partLength == p.inner && step.shape.grid == p.channels);
  CHECK(step.shape.sharedBytes == kResidentScratchBytes + tensors * p.outer * plan.runs.slotsPerPart.value() * kAccessBytes);
  CHECK(!request.mask || tensors == 2 || p.inner % 8 == 0);
}

void checkStep(const Request& request, const Plan& plan, const Step& step) {
  switch (step.kernel) {
    case Kernel::Coefficients:
      CHECK(int64_t{step.shape.grid} * step.shape.block >= request.problem.channels);
      break;
    case Kernel::MomentsOfRuns:
    case Kernel::GradientSumsOfRuns:
      checkRuns(request, plan.runs, step);
      break;
    case Kernel::MomentsOfColumns:
    case Kernel::GradientSumsOfColumns:
    case Kernel::TransformColumns:
    case Kernel::GradientOfColumns:
      checkColumns(request, plan.columns, step);
      break;
    case Kernel::TransformInOrder:
    case Kernel::GradientInOrder:
      checkInOrder(request, plan.inOrder, step);
      break;
    case Kernel::ResidentForward:
      checkResident(request, plan, step, 1);
      break;
    case Kernel::ResidentBackward:
      checkResident(request, plan, step, 2);
      break;
  }
}

void checkLimits(const Step& step, const DeviceProperties& gpu) {
  CHECK(step.shape.grid >= 1 && step.shape.grid < uint32_t{1} << 31);
  const uint32_t warps = step.shape.block / 32;
  CHECK(step.shape.block % 32 == 0 && (warps & (warps - 1)) == 0 && step.shape.block <= kMostBlockThreads);
  // More than any kernel may have is allowed to resident kernels alone.
  const bool resident = step.kernel == Kernel::ResidentForward || step.kernel == Kernel::ResidentBackward;
  CHECK(step.shape.sharedBytes <= (resident ? gpu.sharedPerBlock : 48 << 10));
}

void checkPlan(const Request& request, const DeviceProperties& gpu) {
  const Problem& p = request.problem;
  const Plan made = plan(request, gpu);
  CHECK(made.count >= 1 && made.count <= 3);
  int64_t bytes = 0;
  for (int i = 0; i < made.count; ++i) {
    const Step& step = made.steps[static_cast<size_t>(i)];
    checkLimits(step, gpu);
    checkStep(request, made, step);
    CHECK(step.bytesRead >= 0 && step.bytesWritten >= 0);
    bytes += step.bytesRead + step.bytesWritten;
    // A pass over a large tensor keeps every multiprocessor busy.
    const bool large = p.size() >= int64_t{gpu.multiprocessors} * kBlockThreads * 64;
    if (large && step.kernel != Kernel::Coefficients) CHECK(step.shape.grid >= static_cast<uint32_t>(gpu.multiprocessors / 2));
  }
  // No plan moves less than each tensor once, and none more than the straightforward three and five, residuals apart.
  const int64_t tensor = p.size() * static_cast<int64_t>(sizeOf(p.dtype));
  const int64_t least = request.operation == Operation::Backward ? (request.constantStatistics ? 2 : 3) : 2;
  const int64_t most = request.operation == Operation::Backward ? 9 : 5;
  CHECK(bytes >= least * tensor);
  CHECK(bytes <= most * tensor + 4096 + p.channels * 400 + made.partials * 128);
}

template <class Body>
void forEachRequest(const Problem& base, const Body& body) {
  for (const Operation operation : {Operation::TrainingForward, Operation::InferenceForward, Operation::Backward}) {
    for (int flags = 0; flags < 16; ++flags) {
      Request request;
      request.operation = operation;
      request.problem = base;
      request.residual = (flags & 1) != 0;
      request.mask = (flags & 2) != 0;
      request.wide = (flags & 4) == 0;
      request.constantStatistics = operation == Operation::Backward && (flags & 8) != 0;
      request.gradWeight = request.gradBias = request.running = (flags & 8) == 0;
      request.gradResidual = request.residual;
      body(request);
    }
  }
}

void checkProblems() {
  int64_t plans = 0;
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    for (const int64_t outer : {1, 2, 7, 32, 1000, 401408}) {
      for (const int64_t channels : {1, 2, 3, 8, 64, 96, 257, 1001, 2048, 10000}) {
        for (const int64_t inner :
             std::initializer_list<int64_t>{1, 2, 7, 49, 64, 196, 3136, 12544, 1000003, kHuge / 4, kHuge, kHuge + 4096}) {
          if (inner > 8 * kHuge / (outer * channels)) continue;
          Problem problem;
          problem.outer = outer;
          problem.channels = channels;
          problem.inner = inner;
          problem.dtype = dtype;
          problem.activation = Activation::Relu;
          for (const DeviceProperties& gpu : kDevices) {
            forEachRequest(problem, [&](const Request& request) {
              checkPlan(request, gpu);
              ++plans;
            });
          }
        }
      }
    }
  }
  std::printf("%lld plans\n", static_cast<long long>(plans));
}

void checkDivisors() {
  const uint32_t most = (uint32_t{1} << 31) - 1;
  for (const uint32_t divisor : {1u, 2u, 3u, 7u, 49u, 64u, 3136u, 65535u, 65537u, 1000003u, most, most + 1}) {
    const Divisor by(divisor);
    for (const uint32_t dividend : {0u, 1u, 2u, 48u, 49u, 50u, 65535u, 65536u, 12345678u, most - 1, most}) {
      CHECK(by.quotient(dividend) == dividend / divisor);
      CHECK(by.remainder(dividend) == dividend % divisor);
    }
    for (uint32_t k = 1; k < 100 && uint64_t{k} * divisor <= most; ++k) {
      CHECK(by.quotient(k * divisor) == k);
      CHECK(by.quotient(k * divisor - 1) == k - 1);
    }
  }
}

// The layers of a ResNet-50 with 32 pictures, on an H200: what fits a block is read once.
void checkResNet() {
  const auto total = [](const Request& request) {
    const Plan made = plan(request, kDevices[4]);
    int64_t bytes = 0;
    for (int i = 0; i < made.count; ++i)
      bytes += made.steps[static_cast<size_t>(i)].bytesRead + made.steps[static_cast<size_t>(i)].bytesWritten;
    return static_cast<double>(bytes) / (4. * static_cast<double>(request.problem.size()));
  };
  Request request;
  request.problem.outer = 32;
  request.problem.channels = 256;
  request.problem.inner = 196;
  CHECK(total(request) < 2.01);
  request.operation = Operation::Backward;
  CHECK(total(request) < 3.01);
  request.problem.channels = 64;
  request.problem.inner = 112 * 112;
  CHECK(total(request) > 4.99 && total(request) < 5.01);
  request.operation = Operation::TrainingForward;
  CHECK(total(request) > 2.99 && total(request) < 3.01);
}

}  // namespace

int main() {
  checkDivisors();
  checkProblems();
  checkResNet();
}
