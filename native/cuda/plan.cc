#include "plan.h"

#include <algorithm>
#include <cstdio>

#include "candidates.h"

namespace cuda_batchnorm::cuda {
namespace {

constexpr int64_t kBlocksPerProcessor = 8;  // that a pass in the order of memory wants

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Bytes of one value, and of all.
struct Sizes {
  int64_t element, compute, parameter;
  int64_t tensor, mask, channels;

  explicit Sizes(const Problem& p)
      : element(static_cast<int64_t>(sizeOf(p.dtype))),
        compute(p.dtype == DType::Float64 ? 8 : 4),
        parameter(static_cast<int64_t>(sizeOf(p.parameterDtype))),
        tensor(p.size() * element),
        mask(ceilDiv(p.size(), kMaskBits)),
        channels(p.channels) {}

  uint32_t affine() const { return static_cast<uint32_t>(3 * compute); }
};

class Planner {
 public:
  Planner(const Request& request, const DeviceProperties& device, const Choice& choice)
      : r_(request), p_(request.problem), device_(device), choice_(choice), sizes_(p_) {}

  Plan make() {
    switch (r_.operation) {
      case Operation::TrainingForward:
        trainingForward();
        break;
      case Operation::InferenceForward:
        transform();
        break;
      case Operation::Backward:
        backward();
        break;
    }
    return std::move(plan_);
  }

 private:
  // Columns are wide only where rows allow it; the order of memory always does.
  bool wide() const { return r_.wide && (p_.inner > 1 || (rowsAreWide(p_) && wideRowsFit())); }

  // Whether a block has shared memory for all channels of a folded row, which older devices may not. One of the most threads is asked for,
  // with few rows: more of them need no more.
  bool wideRowsFit() const {
    const Cut cut = cutProblem(p_, Way::Columns, true, r_.mask, p_.outer, kMostBlockThreads, 4);
    return SharedLayout(cut.team(), static_cast<uint32_t>(sizes_.compute)).kept <= device_.sharedPerBlock;
  }

  void trainingForward() {
    // Where the walk that measures cannot write the mask, the output is written in the order of memory.
    const bool whole = !r_.mask || canWriteMask(p_, wide());
    TeamWork work;
    work.mask = r_.mask && whole;
    work.keptTensors = whole ? 1 : 0;
    work.bytesRead = whole ? forwardReads() : sizes_.tensor;
    work.bytesWritten = whole ? forwardWrites() : 0;
    work.bytesPerReread = whole ? sizes_.element : 0;
    Step& step = team(Kernel::ForwardOfRuns, work, 4 * sizes_.compute);
    step.bytesRead += work.bytesRead + runningBytes();
    step.bytesWritten += work.bytesWritten + statisticsBytes() + runningBytes();
    if (!whole) transformInOrder();
  }

  void backward() {
    TeamWork work;
    work.keptTensors = r_.constantStatistics ? 0 : 2;
    work.bytesPerReread = r_.constantStatistics ? 0 : 2 * sizes_.element;
    // Both passes ask for the side of the pre-activation.
    const int64_t reads = (r_.needsInput() ? 2 : 1) * sizes_.tensor + (r_.constantStatistics ? 1 : 2) * sideBytes();
    const int64_t writes = sizes_.tensor * (r_.gradResidual ? 2 : 1);
    work.bytesRead = reads;
    work.bytesWritten = writes;
    Step& step = team(Kernel::BackwardOfRuns, work, 2 * sizes_.compute);
    step.bytesRead += reads;
    step.bytesWritten += writes + parameterGradientBytes();
  }

  // ---- kernels of teams ----

  // `ofRuns` is the first of its three kernels, in the order of the ways. A block tells the others so many bytes per channel.
  Step& team(Kernel ofRuns, TeamWork& work, int64_t told) {
    work.wide = wide();
    work.way = wayOf(p_, work.wide, work.mask);
    work.compute = static_cast<uint32_t>(sizes_.compute);
    work.bytesTold = static_cast<uint32_t>(told);
    work.readInFlight = static_cast<uint32_t>(readInFlight(work.way));
    const Candidate best = choose(work);
    plan_.cut = best.cut;
    plan_.team = best.team;
    plan_.seconds = best.seconds;
    Step& step = add(static_cast<Kernel>(static_cast<int>(ofRuns) + static_cast<int>(work.way)), work.wide);
    step.shape.grid = best.team.teams * best.team.blocks;
    step.shape.block = best.cut.threads;
    step.shape.sharedBytes = best.sharedBytes;
    step.shape.cluster = best.team.kind == TeamKind::Cluster ? best.team.blocks : 1;
    step.shape.cooperative = best.team.kind == TeamKind::Grid;
    step.whole = best.cut.whole;
    step.blocksPerProcessor = best.blocksPerProcessor;
    step.bytesRead = best.cut.beyond(best.team.keptSteps) * work.bytesPerReread;
    if (best.team.kind != TeamKind::Grid || !(r_.operation != Operation::Backward || r_.needsSums())) return step;
    const int64_t blocks = best.team.blocks;
    plan_.exchanged = int64_t{best.team.teams} * 2 * blocks * best.team.channels * 4 * sizes_.compute;
    step.bytesRead += blocks * blocks * sizes_.channels * told;
    step.bytesWritten = blocks * sizes_.channels * told + int64_t{best.team.teams} * static_cast<int64_t>(sizeof(uint32_t));
    return step;
  }

  int64_t readInFlight(Way way) const {
    const auto width = static_cast<uint32_t>(accessWidth(p_, wide()));
    const int64_t bytes = width * sizes_.element;
    if (r_.operation != Operation::Backward) return kForwardReads * bytes;
    const bool smooth = p_.activation != Activation::Identity && !gradientNeedsOnlySign(p_.activation);
    const uint32_t parts = way == Way::Columns ? width : (way == Way::Planes ? 2 : 1);
    return backwardReads(smooth, width, parts, sizes_.compute == 8) * (r_.needsInput() ? 2 : 1) * bytes;
  }

  Candidate choose(const TeamWork& work) {
    Candidate best, forced;
    Candidate ofKinds[3];
    const auto better = [](Candidate& so, const Candidate& candidate) {
      if (so.cut.threads == 0 || candidate.seconds < so.seconds) so = candidate;
    };
    const auto consider = [&](const Candidate& candidate) {
      better(best, candidate);
      better(ofKinds[static_cast<int>(candidate.team.kind)], candidate);
      if (suits(candidate)) better(forced, candidate);
    };
    forEachCandidate(p_, work, device_, choice_.tuningFor(device_), choice_.kept.value_or(100), consider);
    if (choice_.explain) compare(ofKinds);
    return forced.cut.threads > 0 ? forced : best;
  }

  bool suits(const Candidate& candidate) const {
    return (!choice_.kind || *choice_.kind == candidate.team.kind) && (!choice_.blocks || *choice_.blocks == candidate.team.blocks) &&
           (!choice_.threads || *choice_.threads == candidate.cut.threads) &&
           (!choice_.sharedBytes || *choice_.sharedBytes == candidate.sharedBytes);
  }

  void compare(const Candidate (&ofKinds)[3]) {
    for (const Candidate& candidate : ofKinds) {
      if (candidate.cut.threads == 0) continue;
      char text[96];
      std::snprintf(text, sizeof text, "%s%s of %u: %.1f us", plan_.alternatives.empty() ? "" : ", ", name(candidate.team.kind),
                    candidate.team.blocks, candidate.seconds * 1e6);
      plan_.alternatives += text;
    }
  }

  // ---- kernels that transform with given statistics ----

  void transform() {
    if (p_.inner > 1 || (r_.mask && !canWriteMask(p_, wide()))) return transformInOrder();
    constexpr uint32_t kTile = 16;  // accesses: 256 contiguous bytes keep memory busy
    const int64_t wanted = int64_t{device_.multiprocessors} * kBlocksPerProcessor;
    Cut cut = cutProblem(p_, Way::Columns, wide(), r_.mask, 1, kTransformThreads, kTile);
    if (cut.threads == 0) return transformInOrder();  // a folded row is wider than the block
    const int64_t most = std::max<int64_t>(1, cut.columns.rows / (cut.columns.threadsY * int64_t{kTransformBatch}));
    cut = cutProblem(p_, Way::Columns, wide(), r_.mask, std::min(ceilDiv(wanted, cut.pieces), most), kTransformThreads, kTile);
    plan_.columns = cut.columns;
    Step& step = add(Kernel::TransformColumns, wide());
    step.shape.grid = cut.pieces * cut.blocks;
    step.shape.block = kTransformThreads;
    step.shape.sharedBytes = cut.channels * sizes_.affine();
    step.bytesRead = forwardReads();
    step.bytesWritten = forwardWrites();
  }

  void transformInOrder() {
    plan_.inOrder = cutInOrder(p_, r_.wide, sizes_.affine());
    Step& step = add(Kernel::TransformInOrder, r_.wide);
    step.whole = p_.size() % accessWidth(p_, r_.wide) == 0;
    step.shape.grid = static_cast<uint32_t>(ceilDiv(p_.size(), plan_.inOrder.elementsPerBlock));
    step.shape.block = kTransformThreads;
    step.shape.sharedBytes = static_cast<uint32_t>(plan_.inOrder.elementsPerBlock / p_.inner + 2) * sizes_.affine();
    step.bytesRead = forwardReads();
    step.bytesWritten = forwardWrites();
  }

  Step& add(Kernel kernel, bool wide) {
    Step& step = plan_.steps[static_cast<size_t>(plan_.count++)];
    step.kernel = kernel;
    step.wide = wide;
    step.shape.sharedLimit = static_cast<uint32_t>(device_.sharedPerBlock);
    return step;
  }

  // ---- bytes ----

  int64_t forwardReads() const { return sizes_.tensor * (r_.residual ? 2 : 1); }
  int64_t forwardWrites() const { return sizes_.tensor + (r_.mask ? sizes_.mask : 0); }
  int64_t statisticsBytes() const { return 3 * sizes_.channels * sizes_.parameter; }
  int64_t runningBytes() const { return r_.running ? 2 * sizes_.channels * sizes_.parameter : 0; }
  int64_t sideBytes() const { return r_.mask ? sizes_.mask : (r_.residual ? sizes_.tensor : 0); }
  int64_t parameterGradientBytes() const { return ((r_.gradWeight ? 1 : 0) + (r_.gradBias ? 1 : 0)) * sizes_.channels * sizes_.parameter; }

  const Request& r_;
  const Problem& p_;
  const DeviceProperties& device_;
  const Choice& choice_;
  const Sizes sizes_;
  Plan plan_;
};

const char* name(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return "float32";
    case DType::Float64:
      return "float64";
    case DType::Float16:
      return "float16";
    case DType::BFloat16:
      return "bfloat16";
  }
  return "";
}

const char* name(Operation operation) {
  switch (operation) {
    case Operation::TrainingForward:
      return "training forward";
    case Operation::InferenceForward:
      return "inference";
    case Operation::Backward:
      return "backward";
  }
  return "";
}

}  // namespace

bool Request::needsInput() const { return !constantStatistics || gradWeight || (problem.activation != Activation::Identity && !mask); }

const char* name(Kernel kernel) {
  switch (kernel) {
    case Kernel::ForwardOfRuns:
      return "forwardOfRuns";
    case Kernel::ForwardOfPlanes:
      return "forwardOfPlanes";
    case Kernel::ForwardOfColumns:
      return "forwardOfColumns";
    case Kernel::TransformInOrder:
      return "transformInOrder";
    case Kernel::TransformColumns:
      return "transformColumns";
    case Kernel::BackwardOfRuns:
      return "backwardOfRuns";
    case Kernel::BackwardOfPlanes:
      return "backwardOfPlanes";
    case Kernel::BackwardOfColumns:
      return "backwardOfColumns";
  }
  return "";
}

const char* name(TeamKind kind) {
  switch (kind) {
    case TeamKind::Block:
      return "block";
    case TeamKind::Cluster:
      return "cluster";
    case TeamKind::Grid:
      return "grid";
  }
  return "";
}

Plan plan(const Request& request, const DeviceProperties& device, const Choice& choice) { return Planner(request, device, choice).make(); }

std::string describe(const Request& request, const Plan& plan) {
  const Problem& p = request.problem;
  std::string text = std::string(name(request.operation)) + " of [" + std::to_string(p.outer) + ", " + std::to_string(p.channels) + ", " +
                     std::to_string(p.inner) + "] " + name(p.dtype) + ":";
  int64_t bytes = 0;
  for (int i = 0; i < plan.count; ++i) {
    const Step& step = plan.steps[static_cast<size_t>(i)];
    bytes += step.bytesRead + step.bytesWritten;
    text += std::string(i == 0 ? " " : ", then ") + name(step.kernel) + " in " + std::to_string(step.shape.grid) + " blocks of " +
            std::to_string(step.shape.block) + " threads";
  }
  const double tensors = static_cast<double>(bytes) / (static_cast<double>(p.size()) * static_cast<double>(sizeOf(p.dtype)));
  char numbers[160];
  std::snprintf(numbers, sizeof numbers, "; moves %.2f tensors", tensors);
  text += numbers;
  if (plan.cut.threads == 0) return text;
  std::snprintf(numbers, sizeof numbers, "; teams of %u (%s), %u pieces, %.0f %% kept in %u bytes of shared memory; predicted %.1f us",
                plan.team.blocks, name(plan.team.kind), plan.team.pieces, 100.0 * plan.team.keptSteps / plan.cut.steps,
                plan.steps[0].shape.sharedBytes, plan.seconds * 1e6);
  return text + numbers + " (" + plan.alternatives + ")";
}

}  // namespace cuda_batchnorm::cuda
