#include "plan.h"

#include <algorithm>
#include <numeric>

namespace cuda_batchnorm::cuda {
namespace {

constexpr int64_t kMaskBits = 8;               // elements whose bits share a byte
constexpr int64_t kBlocksPerProcessor = 4;     // that a pass over the tensors wants
constexpr int64_t kMostChunkValues = 1 << 28;  // which 32 bits count
constexpr int64_t kLeastAccesses = 4;          // of a thread, before more blocks are worth their merging
constexpr uint32_t kTileThreads = 16;          // along the columns: 256 contiguous bytes keep memory busy, and tiles are many
constexpr int64_t kSmallChannel = 64 << 10;    // bytes that one block moves in the time of another launch

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t roundUp(int64_t a, int64_t b) { return ceilDiv(a, b) * b; }

int64_t powerOfTwo(int64_t atLeast) {
  int64_t power = 1;
  while (power < atLeast) power *= 2;
  return power;
}

// ---- sizes ----

struct Sizes {
  int64_t element, compute, parameter;  // bytes of one value
  int64_t tensor, mask;                 // bytes of all
  int64_t channels;

  explicit Sizes(const Problem& p)
      : element(static_cast<int64_t>(sizeOf(p.dtype))),
        compute(p.dtype == DType::Float64 ? 8 : 4),
        parameter(static_cast<int64_t>(sizeOf(p.parameterDtype))),
        tensor(p.size() * element),
        mask(ceilDiv(p.size(), kMaskBits)),
        channels(p.channels) {}

  int64_t moments() const { return 4 * compute; }
  int64_t sums() const { return 2 * compute; }
};

int64_t accessWidth(const Problem& p, bool wide) { return wide ? kAccessBytes / static_cast<int64_t>(sizeOf(p.dtype)) : 1; }

// ---- how a problem is cut ----

int64_t wantedBlocks(const DeviceProperties& device) { return device.multiprocessors * kBlocksPerProcessor; }

// Slots of a run, or of a part of one: one more where it may begin between two.
int64_t slotsOf(int64_t length, bool aligned, int64_t width) { return aligned ? length / width : (length + 2 * width - 2) / width; }

RunsCut wholeChannels(const Problem& p) {
  RunsCut cut;
  cut.outer = p.outer;
  cut.channels = p.channels;
  cut.inner = p.inner;
  cut.rowsPerChunk = p.outer;
  cut.partLength = p.inner;
  return cut;
}

RunsCut cutRuns(const Problem& p, const DeviceProperties& device, int64_t width) {
  RunsCut cut = wholeChannels(p);
  const int64_t most = std::max<int64_t>(1, p.valuesPerChannel() / (kBlockThreads * width * kLeastAccesses));
  const int64_t least = ceilDiv(p.valuesPerChannel(), kMostChunkValues);
  const int64_t filling = std::min(ceilDiv(wantedBlocks(device), p.channels), most);
  const int64_t wanted = p.channels > kArrivalCounters ? 1 : std::max(filling, least);
  if (p.outer >= wanted) {
    cut.rowsPerChunk = ceilDiv(p.outer, wanted);
  } else {
    cut.rowsPerChunk = 1;
    cut.partLength = std::min(p.inner, roundUp(ceilDiv(p.inner, ceilDiv(wanted, p.outer)), kMaskBits));
    cut.partsPerRun = static_cast<uint32_t>(ceilDiv(p.inner, cut.partLength));
  }
  cut.chunks = static_cast<uint32_t>(ceilDiv(p.outer, cut.rowsPerChunk) * cut.partsPerRun);
  cut.slotsPerPart = Divisor(static_cast<uint32_t>(slotsOf(cut.partLength, p.inner % width == 0 && cut.partLength % width == 0, width)));
  return cut;
}

// Columns of a tile, in accesses: a divisor of all of them if there is one that is not much less than what is wanted. The threads that
// share a byte of the mask stay together.
uint32_t tileWidth(int64_t accesses, int64_t width) {
  if (accesses <= kTileThreads) return static_cast<uint32_t>(accesses);
  const auto step = static_cast<uint32_t>(std::max<int64_t>(1, kMaskBits / width));
  for (uint32_t tile = kTileThreads; tile > kTileThreads / 2; tile -= step) {
    if (accesses % tile == 0) return tile;
  }
  return kTileThreads;
}

// Rows that are folded into one so that each begins at a byte of the mask; 0 where the row would be more than a block is wide.
int64_t foldOf(const Problem& p, int64_t width) {
  const int64_t fold = kMaskBits / std::gcd(p.channels, kMaskBits);
  return fold == 1 || p.channels * fold <= kBlockThreads * width ? fold : 0;
}

bool fitsColumns(const Problem& p, int64_t width) { return foldOf(p, width) > 0 || p.channels % width == 0; }

// Folded rows are whole; single elements go by two warps, because one access of each is little.
uint32_t threadsAlong(int64_t accesses, int64_t width, bool folded) {
  if (folded) return static_cast<uint32_t>(accesses);
  return width == 1 ? static_cast<uint32_t>(std::min<int64_t>(accesses, 64)) : tileWidth(accesses, width);
}

ColumnsCut cutColumns(const Problem& p, const DeviceProperties& device, int64_t width) {
  ColumnsCut cut;
  cut.size = p.size();
  cut.channels = static_cast<uint32_t>(p.channels);
  cut.fold = width == 1 ? 1 : static_cast<uint32_t>(std::max<int64_t>(1, foldOf(p, width)));
  cut.width = p.channels * cut.fold;
  cut.rows = ceilDiv(cut.size, cut.width);
  const int64_t accesses = cut.width / width;
  cut.threadsX = threadsAlong(accesses, width, cut.fold > 1);
  cut.threadsY = kBlockThreads / cut.threadsX;
  cut.tiles = static_cast<uint32_t>(ceilDiv(accesses, cut.threadsX));
  const int64_t most = std::max<int64_t>(1, cut.rows / (cut.threadsY * kLeastAccesses));
  const int64_t wanted = cut.tiles > kArrivalCounters ? 1 : std::min(ceilDiv(wantedBlocks(device), cut.tiles), most);
  cut.rowsPerChunk = ceilDiv(cut.rows, wanted);
  cut.chunks = static_cast<uint32_t>(ceilDiv(cut.rows, cut.rowsPerChunk));
  return cut;
}

InOrderCut cutInOrder(const Problem& p, int64_t width, uint32_t batch) {
  constexpr int64_t kMostDivisor = int64_t{1} << 31;
  InOrderCut cut;
  cut.size = p.size();
  cut.inner = p.inner;
  cut.channels = p.channels;
  cut.elementsPerBlock = kBlockThreads * static_cast<uint32_t>(width) * batch;
  cut.innerDivisor = Divisor(static_cast<uint32_t>(std::min(p.inner, kMostDivisor)));
  cut.channelsDivisor = Divisor(static_cast<uint32_t>(p.channels));
  return cut;
}

// ---- which kernels ----

class Planner {
 public:
  Planner(const Request& request, const DeviceProperties& device) : r_(request), p_(request.problem), device_(device), sizes_(p_) {}

  Plan make() {
    switch (r_.operation) {
      case Operation::TrainingForward:
        trainingForward();
        break;
      case Operation::InferenceForward:
        coefficients();
        transform();
        break;
      case Operation::Backward:
        backward();
        break;
    }
    return plan_;
  }

 private:
  bool columns() const { return p_.inner == 1; }

  // Columns are wide only where rows allow it; the order of memory always does.
  bool wideColumns() const { return r_.wide && fitsColumns(p_, accessWidth(p_, true)); }

  void trainingForward() {
    if (fitsBlock(1) && (!r_.mask || p_.inner % kMaskBits == 0)) {
      Step& step = resident(Kernel::ResidentForward, 1);
      step.bytesRead = forwardReads() + runningBytes();
      step.bytesWritten = forwardWrites() + statisticsBytes() + runningBytes();
      return;
    }
    Step& step = reduction(Kernel::MomentsOfRuns, Kernel::MomentsOfColumns, sizes_.moments());
    step.shape.sharedBytes = std::max(step.shape.sharedBytes, kPreciseScratchBytes);
    step.bytesRead += sizes_.tensor + runningBytes();
    step.bytesWritten += statisticsBytes() + runningBytes() + 3 * sizes_.channels * sizes_.compute;
    transform();
  }

  void backward() {
    if (!r_.constantStatistics && fitsBlock(2)) {
      Step& step = resident(Kernel::ResidentBackward, 2);
      // Both passes ask for the side of the pre-activation.
      step.bytesRead = 2 * sizes_.tensor + 2 * sideBytes();
      step.bytesWritten = gradientWrites() + parameterGradientBytes();
      return;
    }
    coefficients();
    if (r_.needsSums()) {
      Step& step = reduction(Kernel::GradientSumsOfRuns, Kernel::GradientSumsOfColumns, sizes_.sums());
      step.bytesRead += 2 * sizes_.tensor + sideBytes();
      step.bytesWritten += parameterGradientBytes() + 2 * sizes_.channels * sizes_.compute;
    }
    gradient();
  }

  // ---- steps ----

  Step& add(Kernel kernel, bool wide, int64_t blocks, uint32_t threads) {
    Step& step = plan_.steps[static_cast<size_t>(plan_.count++)];
    step.kernel = kernel;
    step.wide = wide;
    step.shape.grid = static_cast<uint32_t>(blocks);
    step.shape.block = threads;
    return step;
  }

  void coefficients() {
    plan_.coefficients = true;
    Step& step = add(Kernel::Coefficients, true, ceilDiv(sizes_.channels, kBlockThreads), kBlockThreads);
    step.bytesWritten = 3 * sizes_.channels * sizes_.compute;
  }

  // A pass whose blocks leave `bytes` per channel for the last of them to merge.
  Step& reduction(Kernel ofRuns, Kernel ofColumns, int64_t bytes) {
    plan_.coefficients = true;
    const bool wide = columns() ? wideColumns() : r_.wide;
    const int64_t width = accessWidth(p_, wide);
    int64_t chunks, counters;
    Step* step;
    if (columns()) {
      plan_.columns = cutColumns(p_, device_, width);
      chunks = plan_.columns.chunks;
      counters = plan_.columns.tiles;
      step = &add(ofColumns, wide, counters * chunks, kBlockThreads);
      step->shape.sharedBytes = static_cast<uint32_t>(kPreciseScratchBytes + kBlockThreads * width * bytes);
    } else {
      plan_.runs = cutRuns(p_, device_, width);
      chunks = plan_.runs.chunks;
      counters = p_.channels;
      step = &add(ofRuns, wide, counters * chunks, kBlockThreads);
      step->shape.sharedBytes = static_cast<uint32_t>(kBlockThreads / 32 * bytes);
    }
    if (chunks > 1) {
      plan_.partials = chunks * sizes_.channels;
      step->bytesRead = plan_.partials * bytes;
      step->bytesWritten = plan_.partials * bytes + counters * static_cast<int64_t>(sizeof(uint32_t));
    }
    return *step;
  }

  void transform() {
    const bool maskFits = !r_.mask || (wideColumns() && foldOf(p_, accessWidth(p_, true)) > 0);
    Step& step = elementwise(Kernel::TransformInOrder, Kernel::TransformColumns, columns() && maskFits, kTransformBatch);
    step.bytesRead = forwardReads();
    step.bytesWritten = forwardWrites();
  }

  void gradient() {
    Step& step = elementwise(Kernel::GradientInOrder, Kernel::GradientOfColumns, columns(), kGradientBatch);
    step.bytesRead = (r_.needsInput() ? 2 : 1) * sizes_.tensor + sideBytes();
    step.bytesWritten = gradientWrites();
  }

  Step& elementwise(Kernel inOrder, Kernel ofColumns, bool byColumns, uint32_t batch) {
    if (byColumns) {
      const bool wide = wideColumns();
      plan_.columns = cutColumns(p_, device_, accessWidth(p_, wide));
      return add(ofColumns, wide, int64_t{plan_.columns.tiles} * plan_.columns.chunks, kBlockThreads);
    }
    plan_.inOrder = cutInOrder(p_, accessWidth(p_, r_.wide), batch);
    return add(inOrder, r_.wide, ceilDiv(p_.size(), plan_.inOrder.elementsPerBlock), kBlockThreads);
  }

  // ---- resident channels ----

  int64_t slotsOfRun() const {
    const int64_t width = accessWidth(p_, true);
    return slotsOf(p_.inner, p_.inner % width == 0, width);
  }
  int64_t channelSlots() const { return p_.outer * slotsOfRun(); }

  // Whether blocks can keep so many tensors of a channel each, and are enough to keep the device busy.
  bool fitsBlock(int64_t tensors) const {
    if (!r_.wide || columns() || p_.dtype == DType::Float64) return false;
    const int64_t bytes = channelSlots() * kAccessBytes * tensors;
    if (bytes + kResidentScratchBytes > static_cast<int64_t>(device_.sharedPerBlock)) return false;
    return bytes <= kSmallChannel || p_.channels >= device_.multiprocessors * 3 / 4;
  }

  Step& resident(Kernel kernel, int64_t tensors) {
    plan_.runs = wholeChannels(p_);
    plan_.runs.slotsPerPart = Divisor(static_cast<uint32_t>(slotsOfRun()));
    const int64_t threads = std::clamp<int64_t>(powerOfTwo(channelSlots() / kLeastAccesses), 64, kMostBlockThreads);
    Step& step = add(kernel, true, p_.channels, static_cast<uint32_t>(threads));
    step.shape.sharedBytes = static_cast<uint32_t>(kResidentScratchBytes + channelSlots() * kAccessBytes * tensors);
    return step;
  }

  // ---- bytes ----

  int64_t forwardReads() const { return sizes_.tensor * (r_.residual ? 2 : 1); }
  int64_t forwardWrites() const { return sizes_.tensor + (r_.mask ? sizes_.mask : 0); }
  int64_t statisticsBytes() const { return 3 * sizes_.channels * sizes_.parameter; }
  int64_t runningBytes() const { return r_.running ? 2 * sizes_.channels * sizes_.parameter : 0; }
  int64_t sideBytes() const { return r_.mask ? sizes_.mask : (r_.residual ? sizes_.tensor : 0); }
  int64_t gradientWrites() const { return sizes_.tensor * (r_.gradResidual ? 2 : 1); }
  int64_t parameterGradientBytes() const { return ((r_.gradWeight ? 1 : 0) + (r_.gradBias ? 1 : 0)) * sizes_.channels * sizes_.parameter; }

  const Request& r_;
  const Problem& p_;
  const DeviceProperties& device_;
  const Sizes sizes_;
  Plan plan_;
};

}  // namespace

bool Request::needsInput() const { return !constantStatistics || (problem.activation != Activation::Identity && !mask); }

const char* name(Kernel kernel) {
  switch (kernel) {
    case Kernel::Coefficients:
      return "coefficientsOfChannels";
    case Kernel::MomentsOfRuns:
      return "momentsOfRuns";
    case Kernel::MomentsOfColumns:
      return "momentsOfColumns";
    case Kernel::TransformInOrder:
      return "transformInOrder";
    case Kernel::TransformColumns:
      return "transformColumns";
    case Kernel::ResidentForward:
      return "residentForward";
    case Kernel::GradientSumsOfRuns:
      return "gradientSumsOfRuns";
    case Kernel::GradientSumsOfColumns:
      return "gradientSumsOfColumns";
    case Kernel::GradientInOrder:
      return "gradientInOrder";
    case Kernel::GradientOfColumns:
      return "gradientOfColumns";
    case Kernel::ResidentBackward:
      return "residentBackward";
  }
  return "";
}

Plan plan(const Request& request, const DeviceProperties& device) { return Planner(request, device).make(); }

}  // namespace cuda_batchnorm::cuda
