// The CUDA plan, for devices of every generation and problems of every kind: each element is some block's, exactly once; nothing asks for
// more than the device has; large problems fill it.
#include "../../native/cuda/plan.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <vector>

#include "check.h"

using namespace cuda_batchnorm;
using namespace cuda_batchnorm::cuda;

namespace {

// Limits from the CUDA programming guide's table of compute capabilities; multiprocessors and bandwidth from the products' data sheets.
DeviceProperties device(const char* name, int major, int minor, int multiprocessors, size_t sharedKib, int threads, double bytesPerSecond) {
  DeviceProperties properties;
  properties.name = name;
  properties.major = major;
  properties.minor = minor;
  properties.multiprocessors = multiprocessors;
  properties.sharedReserved = major >= 8 ? 1024 : 0;
  properties.sharedPerMultiprocessor = sharedKib << 10;
  properties.sharedPerBlock = properties.sharedPerMultiprocessor - properties.sharedReserved;
  properties.threadsPerMultiprocessor = threads;
  properties.registersPerMultiprocessor = 65536;
  properties.bytesPerSecond = bytesPerSecond;
  return properties;
}

const std::vector<DeviceProperties> kDevices = {
    device("T4", 7, 5, 40, 64, 1024, 320e9),           device("A100", 8, 0, 108, 164, 2048, 1555e9),
    device("RTX 3090", 8, 6, 82, 100, 1536, 936e9),    device("L4", 8, 9, 58, 100, 1536, 300e9),
    device("H200", 9, 0, 132, 228, 2048, 4.8e12),      device("B200", 10, 0, 148, 228, 2048, 8e12),
    device("RTX 5090", 12, 0, 170, 100, 1536, 1792e9),
};
const DeviceProperties& kH200 = kDevices[4];

constexpr int64_t kHuge = int64_t{1} << 34;  // more than 32 bits count, also in accesses of four

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t width(const Request& request, const Step& step) {
  return step.wide ? kAccessBytes / static_cast<int64_t>(sizeOf(request.problem.dtype)) : 1;
}

// ---- what each cut has to be ----

void checkRuns(const Request& request, const Cut& made, int64_t v) {
  const Problem& p = request.problem;
  const RunsCut& cut = made.runs;
  CHECK(cut.rowsPerChunk >= 1 && cut.partLength >= 1);
  CHECK(cut.partsPerRun == ceilDiv(p.inner, cut.partLength));
  CHECK(made.blocks == ceilDiv(p.outer, cut.rowsPerChunk) * cut.partsPerRun && made.pieces == p.channels);
  // A part fits its slots wherever it begins; chunks of several rows have whole runs.
  const bool aligned = p.inner % v == 0 && cut.partLength % v == 0;
  CHECK(cut.slotsPerPart.value() * v >= cut.partLength + (aligned ? 0 : v - 1));
  CHECK(cut.rowsPerChunk == 1 || cut.partsPerRun == 1);
  CHECK(cut.rowsPerChunk * cut.slotsPerPart.value() <= int64_t{made.steps} * made.threads);
  CHECK(cut.rowsPerChunk * cut.slotsPerPart.value() < int64_t{1} << 31);
}

void checkPlanes(const Request& request, const Cut& made, int64_t v) {
  const Problem& p = request.problem;
  const PlanesCut& cut = made.planes;
  const int64_t rowValues = cut.group * p.inner;
  CHECK(made.wide && rowValues % v == 0 && p.channels * p.inner % v == 0);
  CHECK(p.inner >= v || 2 * p.inner == v);  // an access meets no more than two channels
  CHECK(cut.threadsX * v == rowValues && cut.threadsX * cut.threadsY <= made.threads && cut.threadsY >= 1);
  CHECK(made.pieces == ceilDiv(p.channels, cut.group) && made.channels == cut.group);
  CHECK(made.blocks == ceilDiv(p.outer, cut.rowsPerChunk));
  CHECK(int64_t{made.steps} * cut.threadsY >= cut.rowsPerChunk);
  const bool writesMask = request.mask && request.operation == Operation::TrainingForward && canWriteMask(p, true);
  if (writesMask) CHECK(rowValues % 8 == 0 && p.channels * p.inner % 8 == 0);
}

void checkColumns(const Request& request, const ColumnsCut& cut, int64_t v, uint32_t threads, int64_t chunks) {
  const Problem& p = request.problem;
  CHECK(cut.width == p.channels * cut.fold && cut.width % v == 0);
  CHECK(cut.rows * cut.width == p.size());
  CHECK(cut.threadsX >= 1 && cut.threadsX * cut.threadsY <= threads && cut.threadsY >= 1);
  CHECK(int64_t{cut.tiles} * cut.threadsX * v >= cut.width && (int64_t{cut.tiles} - 1) * cut.threadsX * v < cut.width);
  CHECK(chunks * cut.rowsPerChunk >= cut.rows && (chunks - 1) * cut.rowsPerChunk < cut.rows);
  CHECK(cut.fold == 1 || cut.tiles == 1);  // folded columns of a channel meet in one block
  if (request.operation == Operation::Backward || !request.mask || !canWriteMask(p, v > 1)) return;
  CHECK(cut.width % 8 == 0 && (cut.tiles > 1 ? cut.threadsX : cut.threadsX * cut.threadsY) * v % 8 == 0);
}

void checkInOrder(const Request& request, const InOrderCut& cut, const Step& step) {
  const Problem& p = request.problem;
  CHECK(cut.size == p.size() && cut.inner == p.inner && cut.channels == p.channels);
  CHECK(step.shape.grid == ceilDiv(cut.size, cut.elementsPerBlock));
  CHECK(cut.elementsPerBlock % (step.shape.block * width(request, step)) == 0);
  CHECK(cut.elementsPerBlock <= step.shape.block * width(request, step) * kTransformBatch);
  const int64_t affine = p.dtype == DType::Float64 ? 24 : 12;
  CHECK(step.shape.sharedBytes >= (ceilDiv(cut.elementsPerBlock - 1, p.inner) + 1) * affine);
}

void checkTeam(const Request& request, const Plan& made, const Step& step, const DeviceProperties& gpu) {
  const TeamCut& team = made.team;
  CHECK(team.blocks == made.cut.blocks && team.pieces == made.cut.pieces && team.teams >= 1 && team.teams <= team.pieces);
  CHECK(step.shape.grid == team.teams * team.blocks && step.shape.block == made.cut.threads);
  CHECK((team.blocks == 1) == (team.kind == TeamKind::Block));
  CHECK(step.shape.cooperative == (team.kind == TeamKind::Grid));
  CHECK(step.shape.cluster == (team.kind == TeamKind::Cluster ? team.blocks : 1));
  CHECK(made.exchanged == 0 || team.kind == TeamKind::Grid);
  if (team.kind == TeamKind::Cluster) CHECK(gpu.major >= 9 && team.blocks <= 8);
  if (team.kind == TeamKind::Grid) {
    CHECK(step.shape.grid <= static_cast<uint32_t>(gpu.multiprocessors) * step.blocksPerProcessor);
    CHECK(team.teams <= kMeetingCounters);
  } else {
    CHECK(team.teams == team.pieces);
  }

  // What is kept has its place, and as many blocks as the plan counts on fit a multiprocessor.
  const int64_t v = width(request, step);
  const auto compute = request.problem.dtype == DType::Float64 ? 8 : 4;
  const int64_t bytes = v * static_cast<int64_t>(sizeOf(request.problem.dtype)) * (request.operation == Operation::Backward ? 2 : 1);
  CHECK(step.shape.sharedBytes == SharedLayout(team, compute).kept + team.keptPlaces * bytes && team.keptSteps <= made.cut.steps);
  CHECK(team.keptPlaces == std::min(int64_t{team.keptSteps} * made.cut.stepThreads, made.cut.places));
  CHECK(made.cut.places <= int64_t{made.cut.steps} * made.cut.stepThreads && made.cut.stepThreads <= step.shape.block);
  const size_t blocks = step.blocksPerProcessor;
  const size_t unit = gpu.major >= 8 ? 128 : 256;  // in which blocks are given shared memory
  const size_t shared = (step.shape.sharedBytes + gpu.sharedReserved + unit - 1) / unit * unit;
  CHECK(blocks >= 1 && blocks * shared <= gpu.sharedPerMultiprocessor);
  CHECK(blocks * step.shape.block <= static_cast<size_t>(gpu.threadsPerMultiprocessor));
  CHECK(blocks * step.shape.block * 128 <= static_cast<size_t>(gpu.registersPerMultiprocessor));

  CHECK(made.cut.beyond(0) == request.problem.size());
  CHECK(made.cut.beyond(made.cut.steps) == 0);
  CHECK(made.seconds >= static_cast<double>(2 * request.problem.size()) / gpu.bytesPerSecond);
}

void checkStep(const Request& request, const Plan& plan, const Step& step, const DeviceProperties& gpu) {
  const int64_t v = width(request, step);
  switch (step.kernel) {
    case Kernel::TransformInOrder:
      return checkInOrder(request, plan.inOrder, step);
    case Kernel::TransformColumns:
      return checkColumns(request, plan.columns, v, step.shape.block, step.shape.grid / plan.columns.tiles);
    case Kernel::ForwardOfRuns:
    case Kernel::BackwardOfRuns:
      checkRuns(request, plan.cut, v);
      break;
    case Kernel::ForwardOfPlanes:
    case Kernel::BackwardOfPlanes:
      checkPlanes(request, plan.cut, v);
      break;
    case Kernel::ForwardOfColumns:
    case Kernel::BackwardOfColumns:
      checkColumns(request, plan.cut.columns, v, plan.cut.threads, plan.cut.blocks);
      break;
  }
  checkTeam(request, plan, step, gpu);
}

void checkLimits(const Step& step, const DeviceProperties& gpu) {
  CHECK(step.shape.grid >= 1 && step.shape.grid < uint32_t{1} << 31);
  const uint32_t warps = step.shape.block / 32;
  CHECK(step.shape.block % 32 == 0 && (warps & (warps - 1)) == 0 && step.shape.block <= kMostBlockThreads);
  CHECK(step.shape.sharedBytes <= gpu.sharedPerBlock);
  CHECK(step.shape.sharedLimit == gpu.sharedPerBlock);
}

int64_t bytesOf(const Plan& made) {
  int64_t bytes = 0;
  for (int i = 0; i < made.count; ++i) {
    const Step& step = made.steps[static_cast<size_t>(i)];
    CHECK(step.bytesRead >= 0 && step.bytesWritten >= 0);
    bytes += step.bytesRead + step.bytesWritten;
  }
  return bytes;
}

void checkPlan(const Request& request, const DeviceProperties& gpu, const Choice& choice) {
  const Problem& p = request.problem;
  const Plan made = plan(request, gpu, choice);
  // One launch, but for the mask of odd sizes.
  CHECK(made.count == 1 || (made.count == 2 && request.mask && !canWriteMask(p, made.steps[0].wide)));
  // Accesses are wide wherever they can be, but for folded rows whose channels are too many for an older device's shared memory.
  const bool canBeWide = request.wide && (p.inner > 1 || rowsAreWide(p));
  const bool manyFolded = gpu.sharedPerBlock < 100 << 10 && p.channels > 300 && p.channels % 8 != 0;
  CHECK(made.steps[0].wide || !canBeWide || manyFolded);
  for (int i = 0; i < made.count; ++i) {
    const Step& step = made.steps[static_cast<size_t>(i)];
    checkLimits(step, gpu);
    checkStep(request, made, step, gpu);
    // A pass over a large tensor keeps every multiprocessor busy.
    const bool large = p.size() >= int64_t{gpu.multiprocessors} * (1 << 20);
    if (large && !choice.kind) CHECK(step.shape.grid >= static_cast<uint32_t>(gpu.multiprocessors / 2));
  }
  // No plan moves less than each tensor once, and none more than the straightforward three and five, residuals apart.
  const int64_t tensor = p.size() * static_cast<int64_t>(sizeOf(p.dtype));
  const int64_t least = request.operation == Operation::Backward ? (request.needsInput() ? 3 : 2) : 2;
  const int64_t most = request.operation == Operation::Backward ? 9 : 5;
  const int64_t told = made.exchanged == 0 ? 0 : (int64_t{made.team.blocks} + 2) * made.team.blocks * p.channels * 32;
  CHECK(bytesOf(made) >= least * tensor);
  CHECK(bytesOf(made) <= most * tensor + 4096 + p.channels * 400 + told);
}

// Some of all combinations, others for each `turn`.
template <class Body>
void forSomeRequests(const Problem& base, int turn, const Body& body) {
  for (const Operation operation : {Operation::TrainingForward, Operation::InferenceForward, Operation::Backward}) {
    for (int i = 0; i < 3; ++i) {
      const int flags = (turn * 3 + i * 7) % 16;
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
  const std::vector<Choice> choices = {{},
                                       {},
                                       {},
                                       Choice::parse("team=block"),
                                       Choice::parse("team=cluster"),
                                       Choice::parse("team=grid"),
                                       Choice::parse("team=grid,kept=0"),
                                       Choice::parse("kept=50,threads=256")};
  int plans = 0;
  int turn = 0;
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    for (const int64_t outer : {1, 2, 7, 32, 1000, 401408}) {
      for (const int64_t channels : {1, 2, 3, 8, 64, 96, 257, 1001, 2048, 10000}) {
        for (const int64_t inner :
             std::initializer_list<int64_t>{1, 2, 4, 7, 49, 64, 196, 3136, 12544, 1000003, kHuge / 4, kHuge, kHuge + 4096}) {
          if (inner > 4 * kHuge / (outer * channels)) continue;
          Problem problem;
          problem.outer = outer;
          problem.channels = channels;
          problem.inner = inner;
          problem.dtype = dtype;
          problem.activation = Activation::Relu;
          forSomeRequests(problem, ++turn, [&](const Request& request) {
            checkPlan(request, kDevices[static_cast<size_t>(plans) % kDevices.size()], choices[static_cast<size_t>(turn) % choices.size()]);
            ++plans;
          });
        }
      }
    }
  }
  std::printf("%d plans\n", plans);
}

// Rows that are folded into one have all their channels in one block, for which the devices have shared memory of very different sizes.
void checkFoldedRows() {
  int narrow = 0;
  for (const DeviceProperties& gpu : kDevices) {
    for (const DType dtype : {DType::Float32, DType::Float64, DType::BFloat16}) {
      for (int64_t channels = 1; channels <= 1030; channels += channels < 400 ? 7 : 1) {
        Request request;
        request.problem.outer = 32;
        request.problem.channels = channels;
        request.problem.inner = 1;
        request.problem.dtype = dtype;
        request.problem.activation = Activation::Relu;
        request.mask = request.residual = true;
        for (const Operation operation : {Operation::TrainingForward, Operation::Backward}) {
          request.operation = operation;
          checkPlan(request, gpu, {});
          if (rowsAreWide(request.problem) && !plan(request, gpu).steps[0].wide) ++narrow;
        }
      }
    }
  }
  CHECK(narrow > 0);
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

// ---- how few bytes ----

struct Layer {
  int64_t channels, side;
};
// Of a ResNet-50.
constexpr Layer kLayers[] = {{64, 112}, {64, 56},  {256, 56},  {128, 56}, {128, 28}, {512, 28},
                             {256, 28}, {256, 14}, {1024, 14}, {512, 14}, {512, 7},  {2048, 7}};

double tensorsMoved(const Request& request, const Choice& choice = {}) {
  const auto tensor = static_cast<double>(request.problem.size()) * static_cast<double>(sizeOf(request.problem.dtype));
  return static_cast<double>(bytesOf(plan(request, kH200, choice))) / tensor;
}

// What fits 200 KiB of at most eight blocks is read once.
void checkResNet() {
  for (const int64_t batch : {32, 256}) {
    for (const DType dtype : {DType::Float32, DType::BFloat16}) {
      for (const Layer& layer : kLayers) {
        Request request;
        request.running = request.gradWeight = request.gradBias = true;
        request.problem.outer = batch;
        request.problem.channels = layer.channels;
        request.problem.inner = layer.side * layer.side;
        request.problem.dtype = dtype;
        const int64_t channelBytes = request.problem.valuesPerChannel() * static_cast<int64_t>(sizeOf(dtype));
        if (ceilDiv(channelBytes, 200 << 10) <= 8) CHECK(tensorsMoved(request) <= 2.05);
        request.operation = Operation::Backward;
        if (ceilDiv(2 * channelBytes, 200 << 10) <= 8) CHECK(tensorsMoved(request) <= 3.05);
        request.operation = Operation::InferenceForward;
        CHECK(tensorsMoved(request) == 2);
      }
    }
  }
}

// ---- how they are predicted ----

// A layer with channels last.
Request rowsOf(int64_t batch, const Layer& layer, DType dtype, Operation operation) {
  Request request;
  request.operation = operation;
  request.running = request.gradWeight = request.gradBias = true;
  request.problem.outer = batch * layer.side * layer.side;
  request.problem.channels = layer.channels;
  request.problem.inner = 1;
  request.problem.dtype = dtype;
  return request;
}

// What does not fit the chip is read by as many threads as there are registers for: few of them do not ask enough of memory at a time.
void checkStreaming() {
  int streaming = 0;
  for (const Operation operation : {Operation::TrainingForward, Operation::Backward}) {
    for (const DType dtype : {DType::Float32, DType::BFloat16}) {
      for (const Layer& layer : kLayers) {
        const Plan made = plan(rowsOf(256, layer, dtype, operation), kH200);
        if (2 * made.team.keptSteps >= made.cut.steps) continue;
        ++streaming;
        CHECK(made.steps[0].blocksPerProcessor * made.steps[0].shape.block >= 512);
      }
    }
  }
  CHECK(streaming >= 16);
}

// Four accesses of 16 bytes for each of 256 threads, every 0.7 us, are all that is read twice: little of it is kept.
void checkFewThreads() {
  DeviceProperties gpu = kH200;
  gpu.registersPerMultiprocessor /= 2;
  const Request request = rowsOf(256, {64, 112}, DType::Float32, Operation::TrainingForward);
  const Plan made = plan(request, gpu);
  CHECK(made.cut.threads * made.steps[0].blocksPerProcessor == 256 && made.team.keptSteps * 10 < made.cut.steps);
  const double tensor = 4.0 * static_cast<double>(request.problem.size());
  CHECK(made.seconds >= 0.9 * 2 * tensor / (132 * 256 * 64 / 0.7e-6) + tensor / gpu.bytesPerSecond);
}

// Eight elements of two tensors at a time, where backward reads rows of 2-byte elements, are half of what a thread reads of 4-byte ones.
void checkBatches() {
  const auto bandwidth = [](DType dtype) {
    const Request request = rowsOf(256, {256, 112}, dtype, Operation::Backward);
    const Plan made = plan(request, kH200, Choice::parse("kept=0"));
    return static_cast<double>(bytesOf(made)) / made.seconds;
  };
  CHECK(bandwidth(DType::BFloat16) < 0.9 * bandwidth(DType::Float32));
}

// How often the team whose plan this is waits for its blocks to meet, predicted.
double waits(const Request& request, std::string choice) {
  const Plan made = plan(request, kH200, Choice::parse(choice));
  choice += ",shared=" + std::to_string(made.steps[0].shape.sharedBytes);
  const auto seconds = [&](const char* meeting) { return plan(request, kH200, Choice::parse(choice + meeting)).seconds; };
  return seconds(",gridMeeting=1") - seconds(",gridMeeting=0");
}

// While a team waits, the blocks of others that share its multiprocessors go on, but none of its own.
void checkWaits() {
  Request request;
  request.problem.outer = 256;
  request.problem.channels = 64;
  request.problem.inner = 112 * 112;
  request.operation = Operation::Backward;
  const auto teams = [&](const char* choice) { return plan(request, kH200, Choice::parse(choice)).team.teams; };
  CHECK(teams("team=grid,blocks=512,threads=128") == 1);
  CHECK(std::abs(waits(request, "team=grid,blocks=512,threads=128") - 64) < 0.01);
  CHECK(teams("team=grid,blocks=256,threads=128") == 2);
  CHECK(std::abs(waits(request, "team=grid,blocks=256,threads=128") - (1 + 31 / 2.0)) < 0.01);
}

// Clusters of a size that has no place are not launched, and those that have it on some multiprocessors only take their time.
void checkClusters() {
  Request request;
  request.problem.outer = 32;
  request.problem.channels = 256;
  request.problem.inner = 56 * 56;
  DeviceProperties gpu = kH200;
  const auto planned = [&](const char* choice) { return plan(request, gpu, Choice::parse(choice)); };
  const Plan unknown = planned("");
  CHECK(unknown.team.kind == TeamKind::Cluster);
  const double seconds = planned("team=cluster,blocks=8").seconds;
  gpu.clusters = {{0, 0, 66, 42, 32, 24, 20, 16, 16}};
  CHECK(planned("").team.kind == TeamKind::Cluster && planned("").team.blocks == 8);
  CHECK(planned("team=cluster,blocks=8").seconds >= seconds);
  gpu.clusters[8] = 8;
  CHECK(planned("team=cluster,blocks=8").seconds > 1.1 * seconds);
  gpu.clusters[8] = 0;
  CHECK(planned("team=cluster,blocks=8").team.blocks != 8);
  gpu.clusters.fill(0);
  CHECK(planned("team=cluster").team.kind != TeamKind::Cluster);
}

// ---- what is forced ----

// Constants choose among the candidates, but not where it is told which is meant.
void checkPinned() {
  Request request;
  request.problem.outer = 32 * 56 * 56;
  request.problem.channels = 256;
  request.problem.inner = 1;
  const auto sharedBytes = [&](const std::string& choice) {
    return plan(request, kH200, Choice::parse(choice)).steps[0].shape.sharedBytes;
  };
  const std::string choice = "team=grid,blocks=66,threads=128", other = ",step=2e-7";
  const uint32_t meant = sharedBytes(choice);
  CHECK(sharedBytes(choice + other) != meant);
  CHECK(sharedBytes(choice + ",shared=" + std::to_string(meant) + other) == meant);
}

void checkChoices() {
  Request request;
  request.problem.outer = 32;
  request.problem.channels = 64;
  request.problem.inner = 56 * 56;
  const auto forced = [&](const char* text) { return plan(request, kH200, Choice::parse(text)); };
  CHECK(forced("team=block").team.kind == TeamKind::Block);
  CHECK(forced("team=cluster,blocks=3").team.kind == TeamKind::Cluster && forced("team=cluster,blocks=3").team.blocks == 3);
  CHECK(forced("team=grid,threads=256").team.kind == TeamKind::Grid && forced("team=grid,threads=256").cut.threads == 256);
  CHECK(forced("kept=0").team.keptSteps == 0 && forced("").team.keptSteps == forced("").cut.steps);
  CHECK(std::abs(tensorsMoved(request, Choice::parse("team=block,kept=0")) - 3) < 0.01);
  CHECK(forced("launch=1").seconds > 1 && forced("launch=1").seconds < 1.1);
  // What a device cannot do is not forced upon it.
  CHECK(plan(request, kDevices[0], Choice::parse("team=cluster")).team.kind != TeamKind::Cluster);
  CHECK(forced("team=block,blocks=5").count == 1);
  CHECK(describe(request, forced("explain")).find("forwardOfRuns") != std::string::npos);
  CHECK(describe(request, forced("explain")).find("cluster of") != std::string::npos);
  for (const char* text : {"team", "team=", "team=warp", "blocks=0", "blocks=x", "threads=1024", "shared=-1", "kept=101", "kept=-1",
                           "faster", "explain,,", "latency=", "latency=-1", "latency=1x", "=1"}) {
    const Error error = errorOf([&] { Choice::parse(text); });
    CHECK(error.code() == ErrorCode::InvalidArgument && std::string(error.what()).find("CUDA_BATCHNORM_PLAN") != std::string::npos);
  }
}

}  // namespace

int main() {
  checkDivisors();
  checkProblems();
  checkFoldedRows();
  checkResNet();
  checkStreaming();
  checkFewThreads();
  checkBatches();
  checkWaits();
  checkClusters();
  checkPinned();
  checkChoices();
}
