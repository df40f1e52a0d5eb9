// What kernels are told: where tensors lie, how the problem is cut, and what becomes of a channel's statistics.
#pragma once

#include <cstdint>

#include "../../core/activation.h"
#include "division.h"

namespace cuda_batchnorm::cuda {

// Of a block that streams; resident blocks have as many as their channel wants, up to kMostBlockThreads.
constexpr uint32_t kBlockThreads = 256;
constexpr uint32_t kMostBlockThreads = 512;

// How a kernel is launched.
struct LaunchShape {
  uint32_t grid = 1;         // blocks
  uint32_t block = 1;        // threads
  uint32_t sharedBytes = 0;  // dynamic
  uint32_t cluster = 1;      // blocks that share their shared memory
  bool cooperative = false;  // all blocks run at once
};

constexpr uint32_t kAccessBytes = 16;

// Most channels or tiles that are merged from chunks: a stream has as many counters.
constexpr uint32_t kArrivalCounters = 4096;

// Shared memory that kernels want besides what the cut asks for.
constexpr uint32_t kPreciseScratchBytes = 32 * sizeof(double);  // a double per warp
constexpr uint32_t kResidentScratchBytes = 1024;

// Accesses of a thread that are in flight at once, where the order of memory is followed.
constexpr uint32_t kTransformBatch = 4;
constexpr uint32_t kGradientBatch = 2;

// ---- how a problem is cut among blocks ----

// Channels made of runs of contiguous values: each chunk is some rows of one channel, or a part of one of its runs.
// Block number chunk * channels + channel.
struct RunsCut {
  int64_t outer = 0, channels = 0, inner = 0;
  int64_t rowsPerChunk = 0;
  int64_t partLength = 0;
  uint32_t partsPerRun = 1;
  uint32_t chunks = 1;
  Divisor slotsPerPart;
};

// Channels last: the tensor as rows of `width` columns. `fold` rows of the tensor make one such row, so that it is a multiple of the
// access width; column j belongs to channel j % channels. A block takes the columns of a tile and the rows of a chunk.
// Block number chunk * tiles + tile.
struct ColumnsCut {
  int64_t size = 0;  // elements; the last row may end early
  int64_t width = 0;
  int64_t rows = 0, rowsPerChunk = 0;
  uint32_t channels = 0, fold = 1;
  uint32_t threadsX = 1, threadsY = 1;  // of the block: along the columns, across rows
  uint32_t tiles = 1, chunks = 1;
};

// Plain order of memory: each block takes as many elements.
struct InOrderCut {
  int64_t size = 0, inner = 0, channels = 0;
  uint32_t elementsPerBlock = 0;
  Divisor innerDivisor;  // of inner, or of 2^31 where that is less
  Divisor channelsDivisor;
};

// ---- channels ----

// Arrays of the compute type in a workspace, one entry per channel:
//   y = activation((x - mean) * scale + shift [+ residual])
//   gradInput = dz * scale + ((x - mean) * slope + offset), dz being the gradient at the pre-activation
struct Coefficients {
  void* mean = nullptr;
  void* scale = nullptr;
  void* shift = nullptr;
  void* slope = nullptr;
  void* offset = nullptr;
};

// Parameters and statistics that are given: arrays of the parameter dtype, one entry per channel.
struct Parameters {
  const void* mean = nullptr;
  const void* meanLow = nullptr;   // may be null: 0
  const void* variance = nullptr;  // biased
  const void* weight = nullptr;    // may be null: 1
  const void* bias = nullptr;      // may be null: 0
  double eps = 0;
  bool inDouble = false;
  bool ofBatch = false;  // the statistics depend on the input
};

// What becomes of a channel's moments in training.
struct TrainingResults {
  Parameters parameters;        // weight, bias, eps
  void* statistics = nullptr;   // [3, channels] of the parameter dtype
  void* runningMean = nullptr;  // both or neither
  void* runningVariance = nullptr;
  double momentum = 0;
  double unbiased = 1;  // running variance over biased variance
  Coefficients coefficients;
  int64_t outer = 0, channels = 0, inner = 0;
};

// What becomes of a channel's sums in backward.
struct BackwardResults {
  Parameters parameters;
  void* gradWeight = nullptr;  // may be null
  void* gradBias = nullptr;    // may be null
  Coefficients coefficients;
  int64_t channels = 0;
  double valuesPerChannel = 0;
};

// ---- tensors; null where absent ----

struct ForwardTensors {
  const void* input = nullptr;
  const void* residual = nullptr;
  void* output = nullptr;
  uint8_t* mask = nullptr;  // bit i: the pre-activation of element i is not below or at 0
  Activation activation = Activation::Identity;
};

struct BackwardTensors {
  const void* gradOutput = nullptr;
  const void* input = nullptr;  // absent where neither statistics nor activation depend on it
  const void* residual = nullptr;
  const uint8_t* mask = nullptr;  // stands for the side of the pre-activation
  void* gradInput = nullptr;
  void* gradResidual = nullptr;
  Activation activation = Activation::Identity;
  bool constantStatistics = false;
};

// ---- kernels ----

// Where the chunks of a channel are merged: a partial result of each, and a counter of those that are there.
struct Merge {
  void* partials = nullptr;      // [chunks, channels]
  uint32_t* counters = nullptr;  // zero before and after
};

template <class Cut>
struct MomentsArguments {
  const void* input = nullptr;
  Cut cut;
  Merge merge;
  TrainingResults results;
};

template <class Cut>
struct TransformArguments {
  ForwardTensors tensors;
  Cut cut;
  Coefficients coefficients;
};

template <class Cut>
struct GradientSumsArguments {
  BackwardTensors tensors;
  Cut cut;
  Merge merge;
  BackwardResults results;
};

template <class Cut>
struct GradientArguments {
  BackwardTensors tensors;
  Cut cut;
  Coefficients coefficients;
};

struct ResidentForwardArguments {
  ForwardTensors tensors;
  RunsCut cut;
  TrainingResults results;
};

struct ResidentBackwardArguments {
  BackwardTensors tensors;
  RunsCut cut;
  BackwardResults results;
};

struct CoefficientsArguments {
  Parameters parameters;
  Coefficients coefficients;
  int64_t channels = 0;
};

}  // namespace cuda_batchnorm::cuda
