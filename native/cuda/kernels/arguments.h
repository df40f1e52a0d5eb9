// What kernels are told: where tensors lie, how the problem is cut, and what becomes of a channel's statistics.
#pragma once

#include <cstdint>

#include "../../core/operation.h"
#include "division.h"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kMostBlockThreads = 512;  // of a team's block
constexpr uint32_t kTransformThreads = 256;
constexpr uint32_t kTransformBatch = 4;  // accesses of a thread that are in flight at once, in the order of memory

// How a kernel is launched.
struct LaunchShape {
  uint32_t grid = 1;         // blocks
  uint32_t block = 1;        // threads
  uint32_t sharedBytes = 0;  // dynamic
  uint32_t sharedLimit = 0;  // of the device
  bool allowed = false;      // so much, by an earlier launch
  uint32_t cluster = 1;      // blocks that share their shared memory
  bool cooperative = false;  // all blocks run at once
};

constexpr uint32_t kAccessBytes = 16;

// Accesses of a tensor that a thread has in flight while it reads what it does not keep: as many as registers allow beside what they hold
// for each part of an access (`parts` channels).
constexpr uint32_t kForwardReads = 4;
constexpr uint32_t backwardReads(bool smoothActivation, uint32_t width, uint32_t parts, bool inDouble) {
  const bool crowded = (width == 8 && parts > 1) || (smoothActivation && (width == 8 || inDouble));
  return crowded ? 1 : 2;
}

// Teams that meet at counters in memory, at most: a stream has as many counters.
constexpr uint32_t kMeetingCounters = 4096;

// ---- how a problem is cut ----
//
// A team of blocks takes a piece of the problem at a time: all of a channel, or of a few neighbouring ones. Each block of the team has its
// chunk of the piece, by its rank, and keeps in shared memory as much of it as it has room for.

enum class TeamKind : uint8_t {
  Block,    // the block alone
  Cluster,  // blocks that see each other's shared memory: compute capability 9.0
  Grid,     // blocks that meet at a counter in memory, and so have to run at once; a team takes one piece after the other
};

struct TeamCut {
  TeamKind kind = TeamKind::Block;
  uint32_t blocks = 1;  // of a team; block number team * blocks + rank
  uint32_t teams = 1;
  uint32_t pieces = 1;         // team number t takes pieces t, t + teams, ...
  uint32_t channels = 1;       // of a piece, at most
  uint32_t scratchValues = 1;  // that threads of a block leave for each other
  uint32_t keptSteps = 0;      // of a thread through its chunk: those whose values stay in shared memory
  uint32_t keptPlaces = 0;     // accesses that these are, at most
};

constexpr uint32_t kChannelBytes = 5 * sizeof(double);  // of what is known per channel, in double

// Of its shared memory a block first keeps what is known per channel, then scratch, then the chunk. `compute` is the bytes of one value in
// the type of arithmetic, that of two goes by threads, that of four by blocks.
struct SharedLayout {
  uint32_t values, total, channels, coefficients, scratch, kept;  // where each begins, in bytes

  HOST_DEVICE SharedLayout(const TeamCut& team, uint32_t compute)
      : values(0),
        total(2 * roundUp(team.channels * 4 * compute)),
        channels(total + roundUp(team.channels * 4 * compute)),
        coefficients(channels + roundUp(team.channels * kChannelBytes)),
        scratch(coefficients + roundUp(team.channels * 5 * compute)),
        kept(scratch + roundUp(team.scratchValues * 2 * compute)) {}

 private:
  static HOST_DEVICE uint32_t roundUp(uint32_t bytes) { return (bytes + 15) / 16 * 16; }
};

// Channels that are made of long runs of contiguous values. A piece is one channel; a chunk is some rows of it, or a part of one of its
// runs.
struct RunsCut {
  int64_t outer = 0, channels = 0, inner = 0;
  int64_t rowsPerChunk = 0;
  int64_t partLength = 0;
  uint32_t partsPerRun = 1;
  Divisor slotsPerPart;
};

// Short runs: a piece is a group of neighbouring channels, so many that their runs together begin and end at aligned addresses. A block's
// threads stand beside each other along such a row of runs, as many as it has accesses, and in several rows.
struct PlanesCut {
  int64_t outer = 0, channels = 0, inner = 0;
  int64_t rowsPerChunk = 0;
  uint32_t group = 1;  // channels
  uint32_t threadsX = 1, threadsY = 1;
};

// Channels last: the tensor as rows of `width` columns. `fold` rows of the tensor make one such row, so that it is a multiple of the
// access width; column j belongs to channel j % channels. A piece is a tile of columns, a chunk some rows of it.
struct ColumnsCut {
  int64_t width = 0;
  int64_t rows = 0, rowsPerChunk = 0;
  uint32_t channels = 0, fold = 1;
  uint32_t threadsX = 1, threadsY = 1;  // of the block: along the columns, across rows
  uint32_t tiles = 1;
};

// Plain order of memory: each block takes as many elements.
struct InOrderCut {
  int64_t size = 0, inner = 0, channels = 0;
  uint32_t elementsPerBlock = 0;
  Divisor innerDivisor;  // of inner, or of 2^31 where that is less
  Divisor channelsDivisor;
};

// ---- channels ----

// Parameters and statistics that are given: arrays of the parameter dtype, one entry per channel.
struct Parameters {
  const void* mean = nullptr;
  const void* meanLow = nullptr;      // may be null: 0
  const void* variance = nullptr;     // biased
  const void* weight = nullptr;       // may be null: 1
  const void* bias = nullptr;         // may be null: 0
  const void* renormScale = nullptr;  // of batch renormalization; null: 1
  const void* renormShift = nullptr;  // null: 0
  double eps = 0;
  bool inDouble = false;
  bool ofBatch = false;  // the statistics depend on the input
  bool inPlace = false;  // backward has the output in the input's place
};

// What becomes of a channel's moments in training.
struct TrainingResults {
  Parameters parameters;        // weight, bias, eps
  void* statistics = nullptr;   // [3, channels] of the parameter dtype
  void* runningMean = nullptr;  // both or neither
  void* runningVariance = nullptr;
  double momentum = 0;
  double unbiased = 1;  // running variance over biased variance
  int64_t channels = 0;
  double valuesPerChannel = 0;
};

// What batch renormalization works on.
struct RenormArguments {
  const double* measured = nullptr;  // [3, channels]: statistics of the batch
  const void* weight = nullptr;      // may be null: 1
  const void* bias = nullptr;        // may be null: 0
  double* scaling = nullptr;         // [2, channels]: what becomes of weight and bias
  void* statistics = nullptr;        // [5, channels] of the parameter dtype: what is saved
  void* runningMean = nullptr;
  void* runningVariance = nullptr;
  double momentum = 0;
  double unbiased = 1;  // running variance over biased variance
  double eps = 0;
  Renorm renorm;
  int64_t channels = 0;
  bool inDouble = false;
};

// What becomes of a channel's sums in backward.
struct BackwardResults {
  Parameters parameters;
  void* gradWeight = nullptr;  // may be null
  void* gradBias = nullptr;    // may be null
  bool accumulates = false;    // the two are added to
  double valuesPerChannel = 0;
};

// ---- tensors; null where absent ----

struct ForwardTensors {
  const void* input = nullptr;
  const void* residual = nullptr;
  void* output = nullptr;   // null: statistics alone
  uint8_t* mask = nullptr;  // bit i: the pre-activation of element i is not below or at 0
  Activation activation = Activation::Identity;
};

struct BackwardTensors {
  const void* gradOutput = nullptr;
  const void* input = nullptr;  // absent where neither statistics nor activation depend on it; the output where that took its place
  const void* residual = nullptr;
  const uint8_t* mask = nullptr;  // stands for the side of the pre-activation
  void* gradInput = nullptr;
  void* gradResidual = nullptr;
  Activation activation = Activation::Identity;
  bool constantStatistics = false;
  bool inPlace = false;
};

// ---- kernels ----

// Where the blocks of a grid's teams leave each other what they have, and meet.
struct Exchange {
  void* partials = nullptr;      // [teams, 2, blocks, channels of a piece]
  uint32_t* counters = nullptr;  // [teams], zero before and after
};

template <class Cut>
struct ForwardArguments {
  ForwardTensors tensors;
  Cut cut;
  TeamCut team;
  Exchange exchange;
  TrainingResults results;
};

template <class Cut>
struct BackwardArguments {
  BackwardTensors tensors;
  Cut cut;
  TeamCut team;
  Exchange exchange;
  BackwardResults results;
  bool sums = true;  // wanted, be it for the input's gradient or for the parameters'
};

template <class Cut>
struct TransformArguments {
  ForwardTensors tensors;
  Cut cut;
  Parameters parameters;
};

}  // namespace cuda_batchnorm::cuda
