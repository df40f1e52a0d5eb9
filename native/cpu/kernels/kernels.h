// What the SIMD kernels offer: one table of functions per instruction set, filled by compiling the same sources with other flags.
//
// Two shapes of loop cover every problem [outer, channels, inner]:
//   runs     inner is long: a channel is `outer` runs of `inner` contiguous values, with one set of coefficients.
//   columns  inner is short or 1: a row of channels * inner contiguous values, each column with its own coefficients.
// A problem may have its sums taken by one and its values written by the other. What is computed once per channel, from the sums or for
// the writing, is a third set of functions.
//
// Pointers are void because the table is indexed by dtype. "Compute type" is double for float64 and float for the others.
#pragma once

#include <cstdint>

#include "../../core/operation.h"

namespace cuda_batchnorm::cpu {

// Most channels a tile may have, and most columns where the column kernels take it: a few rows, their accumulators and their
// coefficients then fit the first-level cache.
constexpr int64_t kMaxTileColumns = 1024;

constexpr int64_t kLineValues = 16;  // float32 values in a cache line

constexpr DType computeType(DType dtype) { return dtype == DType::Float64 ? DType::Float64 : DType::Float32; }

// A rectangle of the [outer, channels * inner] matrix: whole channels of some of its rows, or a part of one channel.
struct Tile {
  int64_t offset;  // elements from the tensor's start to the tile's first value
  int64_t stride;  // elements from one row to the next
  int64_t rows;
  int64_t inner;  // contiguous values of a channel
  int64_t channels;

  int64_t columns() const { return channels * inner; }
};

// y = activation((x - mean) * scale + shift [+ residual]). Arrays of the compute type, one entry per channel; the pointers are at the
// first channel of the tile.
struct Affine {
  const void* mean;
  const void* scale;
  const void* shift;
};

struct ForwardTensors {
  const void* input;
  const void* residual;  // may be null
  void* output;
  uint8_t* mask;  // may be null; 1 where the pre-activation is not below or at 0
  Activation activation;
  bool pastCaches;    // output had better not push the others out of the caches
  int64_t ahead = 0;  // elements from what is read to what had better come closer meanwhile, to be read next; 0: nothing
};

struct BackwardTensors {
  const void* gradOutput;
  const void* input;     // the output where that took its place
  const void* residual;  // may be null
  const uint8_t* mask;   // may be null; stands for the pre-activation's sign
  void* gradInput;
  void* gradResidual;  // may be null
  Activation activation;
  bool constantStatistics;  // slope and offset are not applied
  bool inPlace;
  bool pastCaches;    // as in ForwardTensors
  int64_t ahead = 0;  // as in ForwardTensors
};

// Coefficients of backward, arrays as in Affine. With dz the gradient at the pre-activation:
//   gradInput = dz * scale + ((x - mean) * slope + offset)
// Where the output took the input's place, x is the pre-activation, as the output tells it, and the mean is its own: the bias.
struct BackwardAffine {
  Affine forward;
  const void* slope;
  const void* offset;
};

// Sums over a channel's values: of dz, and of dz * (x - mean).
struct GradientSums {
  double sum = 0;
  double dot = 0;
};

// Where the coefficients of all channels are put.
struct ForwardCoefficients {
  void* mean;
  void* scale;
  void* shift;
};

struct BackwardCoefficients {
  ForwardCoefficients forward;
  void* slope;
  void* offset;
};

// What backward knows of all channels before it has their sums.
struct BackwardChannels {
  BackwardCoefficients coefficients;
  double* scale;  // weight / sqrt(variance + eps)
  double* unit;   // the normalized value is (x - mean) times this, with x and mean as the kernels have them
  double* low;    // what the rounded mean leaves
};

struct Kernels {
  const char* name;

  // For the channels [first, end) of a problem. Arrays have an entry for each channel of the problem.
  struct Channels {
    // From a batch's means and sums of squared deviations: statistics, running statistics and coefficients.
    void (*training)(const TrainingForward& call, const double* mean, const double* m2, const ForwardCoefficients& coefficients,
                     int64_t first, int64_t end);
    void (*inference)(const InferenceForward& call, const ForwardCoefficients& coefficients, int64_t first, int64_t end);
    // Before the sums are taken, and after: then the gradients of the parameters too.
    void (*prepareBackward)(const Backward& call, const BackwardChannels& channels, int64_t first, int64_t end);
    void (*finishBackward)(const Backward& call, const BackwardChannels& channels, const GradientSums* sums, int64_t first, int64_t end);
  };
  Channels channels;

  // Arrays of results have an entry for each channel of the tile.
  struct Family {
    void (*moments)(const void* input, const Tile& tile, double* mean, double* m2);
    void (*forward)(const ForwardTensors& tensors, const Tile& tile, const Affine& affine);
    void (*gradientSums)(const BackwardTensors& tensors, const Tile& tile, const BackwardAffine& affine, GradientSums* sums);
    void (*gradient)(const BackwardTensors& tensors, const Tile& tile, const BackwardAffine& affine);
  };

  struct ForDType {
    Family runs, columns;

    // Conversions from this dtype to the compute type of `to`, rounded once.
    void (*convert[kDTypeCount])(void* destination, const void* source, int64_t count);
  };

  ForDType forDType[kDTypeCount];  // indexed by DType
};

// The best the running processor has; CUDA_BATCHNORM_ISA names another for tests.
const Kernels& kernels();

namespace baseline {
const Kernels& table();
}
#if defined(__x86_64__) || defined(_M_X64)
namespace avx2 {
const Kernels& table();
}
namespace avx512 {
const Kernels& table();
}
#endif

}  // namespace cuda_batchnorm::cpu
