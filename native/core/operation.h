// The three operations of batch normalization as every backend is asked for them. Pointers are memory of the device.
#pragma once

#include <cstdint>

#include "problem.h"

namespace cuda_batchnorm {

// Statistics of one batch, as training saves them for backward: [3, channels] of the parameter dtype.
// Rows: mean (high part), mean (low part: the true mean is high + low), biased variance. cuDNN saves two: mean, 1 / sqrt(variance + eps).
constexpr int64_t kStatisticsRows = 3;
// With batch renormalization two more: the scale and the shift of the normalized value, r and d.
constexpr int64_t kRenormStatisticsRows = 5;

// Batch renormalization (Ioffe 2017, arXiv:1702.03275): the normalized value becomes x̂·r + d, with r = σ_batch / σ_running and
// d = (μ_batch − μ_running) / σ_running as the running statistics are before the pass, r within [1 / rMax, rMax] and d within
// [−dMax, dMax]. To backward both are constants.
struct Renorm {
  bool on = false;
  double rMax = 1;
  double dMax = 0;
};

struct TrainingForward {
  Problem problem;
  const void* input = nullptr;
  const void* residual = nullptr;  // may be null: added before the activation
  const void* weight = nullptr;    // may be null: 1
  const void* bias = nullptr;      // may be null: 0
  void* output = nullptr;          // may equal input
  void* statistics = nullptr;      // [3, channels], [5, channels] with renorm; always written
  void* mask = nullptr;            // may be null; maskBytes() bytes: the side of 0 of the pre-activation, for backward
  void* runningMean = nullptr;     // both or neither; updated in place
  void* runningVariance = nullptr;
  double momentum = 0;  // weight of the new value
  bool unbiasedRunningVariance = true;
  Renorm renorm;  // with running statistics

  int64_t statisticsRows() const { return renorm.on ? kRenormStatisticsRows : kStatisticsRows; }
};

struct InferenceForward {
  Problem problem;
  const void* input = nullptr;
  const void* residual = nullptr;
  const void* mean = nullptr;
  const void* variance = nullptr;
  const void* weight = nullptr;
  const void* bias = nullptr;
  void* output = nullptr;
  void* mask = nullptr;
};

struct Backward {
  Problem problem;
  bool constantStatistics = false;  // true: mean and variance were given, as in eval mode
  bool inPlace = false;             // the output took the input's place; without residual, of identity or leakyRelu
  const void* gradOutput = nullptr;
  const void* input = nullptr;     // with inPlace: the output
  const void* output = nullptr;    // of the forward pass; cuDNN reads it where there is an activation
  const void* residual = nullptr;  // needed when it was added, the activation is not the identity and there is no mask
  const void* mask = nullptr;
  const void* mean = nullptr;         // [channels]
  const void* meanLow = nullptr;      // [channels], may be null: 0
  const void* variance = nullptr;     // [channels], biased
  const void* renormScale = nullptr;  // [channels], of batch renormalization; null: 1
  const void* renormShift = nullptr;  // [channels]; null: 0
  const void* weight = nullptr;
  const void* bias = nullptr;  // the activation gradient needs it
  void* gradInput = nullptr;
  void* gradWeight = nullptr;    // may be null
  void* gradBias = nullptr;      // may be null
  void* gradResidual = nullptr;  // may be null
  bool accumulates = false;      // gradWeight and gradBias are added to, not overwritten
};

}  // namespace cuda_batchnorm
