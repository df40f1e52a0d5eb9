// What is computed once per channel: statistics, running statistics, coefficients, parameter gradients. It goes through double, some
// channels at a time: plain loops over short arrays, which compilers vectorize.

#pragma once

#include "elementwise.h"

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

constexpr int64_t kChannelsOfBlock = 64;

// A value of each channel of a block.
struct PerChannel {
  double values[kChannelsOfBlock];
  double& operator[](int64_t i) { return values[i]; }
  double operator[](int64_t i) const { return values[i]; }
};

// The channels [first, first + count) of arrays that have an entry for each channel.
struct ChannelBlock {
  int64_t first, count;

  PerChannel read(const void* source, DType dtype, double whenAbsent) const {
    PerChannel values;
    if (source == nullptr) {
      for (int64_t i = 0; i < count; ++i) values[i] = whenAbsent;
    } else if (dtype == DType::Float64) {
      for (int64_t i = 0; i < count; ++i) values[i] = ((const double*)source)[first + i];
    } else {
      for (int64_t i = 0; i < count; ++i) values[i] = (double)((const float*)source)[first + i];
    }
    return values;
  }

  void write(void* destination, DType dtype, const PerChannel& values) const {
    if (destination == nullptr) return;
    if (dtype == DType::Float64) {
      for (int64_t i = 0; i < count; ++i) ((double*)destination)[first + i] = values[i];
    } else {
      for (int64_t i = 0; i < count; ++i) ((float*)destination)[first + i] = (float)values[i];
    }
  }
};

// Calls body(block) for blocks of the channels [first, end).
template <class Body>
void forEachBlock(int64_t first, int64_t end, Body body) {
  for (; first < end; first += kChannelsOfBlock) body(ChannelBlock{first, end - first < kChannelsOfBlock ? end - first : kChannelsOfBlock});
}

// A mean as a dtype sees it: x - high is exact or nearly so; low is what is left of the mean.
struct SplitMean {
  PerChannel high, low;

  SplitMean(DType dtype, const PerChannel& mean, int64_t count) {
    const bool isDouble = dtype == DType::Float64;
    for (int64_t i = 0; i < count; ++i) {
      high[i] = isDouble ? mean[i] : (double)(float)mean[i];
      low[i] = __builtin_isfinite(high[i]) ? mean[i] - high[i] : 0;
    }
  }
};

// 1 / sqrt(variance + eps)
inline PerChannel inverseDeviations(const PerChannel& variance, double eps, int64_t count) {
  PerChannel inverse;
  forEachVector<double>(count, [&](int64_t i, auto lanes) KERNEL_LAMBDA {
    store(inverse.values + i, 1. / squareRoot(load(variance.values + i, lanes) + broadcast(eps)), lanes);
  });
  return inverse;
}

inline void writeCoefficients(const ForwardCoefficients& coefficients, DType dtype, const ChannelBlock& block, const SplitMean& mean,
                              const PerChannel& scale, const PerChannel& bias) {
  const DType stored = computeType(dtype);
  PerChannel shift;
  for (int64_t i = 0; i < block.count; ++i) shift[i] = bias[i] - mean.low[i] * scale[i];
  block.write(coefficients.mean, stored, mean.high);
  block.write(coefficients.scale, stored, scale);
  block.write(coefficients.shift, stored, shift);
}

// weight and bias, or what batch renormalization makes of them.
struct Scaling {
  PerChannel weight, bias;

  template <class Call>
  Scaling(const Call& call, const ChannelBlock& block)
      : weight(block.read(call.weight, call.problem.parameterDtype, 1)), bias(block.read(call.bias, call.problem.parameterDtype, 0)) {}

  // weight * (x̂ * scale + shift) + bias
  void correct(const PerChannel& scale, const PerChannel& shift, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      bias[i] += weight[i] * shift[i];
      weight[i] *= scale[i];
    }
  }
};

// ---- forward ----

inline void writeCoefficients(const ForwardCoefficients& coefficients, const Problem& p, const ChannelBlock& block, const PerChannel& mean,
                              const PerChannel& variance, const Scaling& scaling) {
  PerChannel scale = inverseDeviations(variance, p.eps, block.count);
  for (int64_t i = 0; i < block.count; ++i) scale[i] *= scaling.weight[i];
  writeCoefficients(coefficients, p.dtype, block, SplitMean(p.dtype, mean, block.count), scale, scaling.bias);
}

inline void saveRow(const TrainingForward& call, const ChannelBlock& block, int64_t row, const PerChannel& values) {
  ChannelBlock{row * call.problem.channels + block.first, block.count}.write(call.statistics, call.problem.parameterDtype, values);
}

inline void saveStatistics(const TrainingForward& call, const ChannelBlock& block, const PerChannel& mean, const PerChannel& variance) {
  const SplitMean split(call.problem.parameterDtype, mean, block.count);
  saveRow(call, block, 0, split.high);
  saveRow(call, block, 1, split.low);
  saveRow(call, block, 2, variance);
}

// NaN stays NaN.
inline double within(double value, double least, double most) { return value < least ? least : value > most ? most : value; }

// Before the running statistics are updated.
inline void renormalize(const TrainingForward& call, const ChannelBlock& block, const PerChannel& mean, const PerChannel& variance,
                        Scaling& scaling) {
  const Problem& p = call.problem;
  const Renorm& limits = call.renorm;
  const PerChannel runningMean = block.read(call.runningMean, p.parameterDtype, 0);
  const PerChannel inverse = inverseDeviations(block.read(call.runningVariance, p.parameterDtype, 1), p.eps, block.count);
  PerChannel scale, shift;
  for (int64_t i = 0; i < block.count; ++i) {
    scale[i] = within(__builtin_sqrt(variance[i] + p.eps) * inverse[i], 1 / limits.rMax, limits.rMax);
    shift[i] = within((mean[i] - runningMean[i]) * inverse[i], -limits.dMax, limits.dMax);
  }
  saveRow(call, block, 3, scale);
  saveRow(call, block, 4, shift);
  scaling.correct(scale, shift, block.count);
}

// running = (1 - momentum) * running + momentum * factor * batch
inline void updateRunning(void* running, const TrainingForward& call, const ChannelBlock& block, const PerChannel& batch, double factor) {
  if (running == nullptr) return;
  const DType dtype = call.problem.parameterDtype;
  PerChannel updated = block.read(running, dtype, 0);
  for (int64_t i = 0; i < block.count; ++i) updated[i] = (1 - call.momentum) * updated[i] + call.momentum * (factor * batch[i]);
  block.write(running, dtype, updated);
}

inline void trainingChannels(const TrainingForward& call, const double* means, const double* m2, const ForwardCoefficients& coefficients,
                             int64_t begin, int64_t end) {
  const auto values = (double)call.problem.valuesPerChannel();
  const double share = 1 / values;
  // One value per channel has no unbiased variance; its biased one, 0, stands in.
  const double correction = call.unbiasedRunningVariance && values > 1 ? values / (values - 1) : 1;
  forEachBlock(begin, end, [&](const ChannelBlock& block) {
    const PerChannel mean = block.read(means, DType::Float64, 0);
    PerChannel variance = block.read(m2, DType::Float64, 0);
    for (int64_t i = 0; i < block.count; ++i) variance[i] = (variance[i] < 0 ? 0 : variance[i]) * share;
    Scaling scaling(call, block);
    if (call.renorm.on) renormalize(call, block, mean, variance, scaling);
    writeCoefficients(coefficients, call.problem, block, mean, variance, scaling);
    saveStatistics(call, block, mean, variance);
    updateRunning(call.runningMean, call, block, mean, 1);
    updateRunning(call.runningVariance, call, block, variance, correction);
  });
}

inline void inferenceChannels(const InferenceForward& call, const ForwardCoefficients& coefficients, int64_t begin, int64_t end) {
  const Problem& p = call.problem;
  forEachBlock(begin, end, [&](const ChannelBlock& block) {
    writeCoefficients(coefficients, p, block, block.read(call.mean, p.parameterDtype, 0), block.read(call.variance, p.parameterDtype, 1),
                      Scaling(call, block));
  });
}

// ---- backward ----

// 0 where there is none.
inline double reciprocal(double value) {
  const double quotient = 1 / value;
  return __builtin_isfinite(quotient) ? quotient : 0;
}

inline void prepareChannels(const Backward& call, const BackwardChannels& channels, int64_t begin, int64_t end) {
  const Problem& p = call.problem;
  forEachBlock(begin, end, [&](const ChannelBlock& block) {
    const auto read = [&](const void* source, double whenAbsent) { return block.read(source, p.parameterDtype, whenAbsent); };
    PerChannel mean = read(call.mean, 0);
    const PerChannel meanLow = read(call.meanLow, 0);
    const PerChannel variance = read(call.variance, 1);
    Scaling scaling(call, block);
    if (call.renormScale != nullptr) scaling.correct(read(call.renormScale, 1), read(call.renormShift, 0), block.count);
    const PerChannel &weight = scaling.weight, &bias = scaling.bias;
    PerChannel inverse = inverseDeviations(variance, p.eps, block.count);
    PerChannel scale, unit;
    for (int64_t i = 0; i < block.count; ++i) {
      mean[i] += meanLow[i];
      // A batch's variance beyond its dtype was saved as infinity. Its gradient is unknown then, and NaN says so where 0 would not.
      const bool overflowed = !call.constantStatistics && __builtin_isinf(variance[i]);
      if (overflowed) inverse[i] = __builtin_nan("");
      scale[i] = weight[i] * inverse[i];
      unit[i] = call.inPlace ? reciprocal(weight[i]) : inverse[i];
    }
    const SplitMean split(p.dtype, call.inPlace ? bias : mean, block.count);
    writeCoefficients(channels.coefficients.forward, p.dtype, block, split, scale, bias);
    block.write(channels.scale, DType::Float64, scale);
    block.write(channels.unit, DType::Float64, unit);
    block.write(channels.low, DType::Float64, split.low);
  });
}

// gradWeight as it is without renormalization.
inline void writeParameterGradients(const Backward& call, const ChannelBlock& block, PerChannel& gradWeight, PerChannel& gradBias) {
  const DType dtype = call.problem.parameterDtype;
  if (call.renormScale != nullptr) {
    const PerChannel scale = block.read(call.renormScale, dtype, 1), shift = block.read(call.renormShift, dtype, 0);
    for (int64_t i = 0; i < block.count; ++i) gradWeight[i] = scale[i] * gradWeight[i] + shift[i] * gradBias[i];
  }
  if (call.accumulates) {
    const PerChannel weightBefore = block.read(call.gradWeight, dtype, 0), biasBefore = block.read(call.gradBias, dtype, 0);
    for (int64_t i = 0; i < block.count; ++i) {
      gradWeight[i] += weightBefore[i];
      gradBias[i] += biasBefore[i];
    }
  }
  block.write(call.gradWeight, dtype, gradWeight);
  block.write(call.gradBias, dtype, gradBias);
}

inline void finishChannels(const Backward& call, const BackwardChannels& channels, const GradientSums* sums, int64_t begin, int64_t end) {
  const Problem& p = call.problem;
  const DType stored = computeType(p.dtype);
  const double share = 1 / (double)p.valuesPerChannel();
  forEachBlock(begin, end, [&](const ChannelBlock& block) {
    const PerChannel scale = block.read(channels.scale, DType::Float64, 0);
    const PerChannel unit = block.read(channels.unit, DType::Float64, 0);
    const PerChannel low = block.read(channels.low, DType::Float64, 0);
    PerChannel gradWeight, gradBias, slope, offset;
    for (int64_t i = 0; i < block.count; ++i) {
      const GradientSums& sum = sums[block.first + i];
      gradBias[i] = sum.sum;
      // The kernels subtract the high part of the mean only; the low part's share is a multiple of the plain sum.
      gradWeight[i] = (sum.dot - low[i] * gradBias[i]) * unit[i];
      slope[i] = -scale[i] * unit[i] * gradWeight[i] * share;
      offset[i] = -scale[i] * gradBias[i] * share - slope[i] * low[i];
      // A weight of 0 leaves nothing of the input in the output. What gradient it has is then unknown; the input's does not ask.
      if (call.inPlace && unit[i] == 0) gradWeight[i] = __builtin_nan("");
    }
    writeParameterGradients(call, block, gradWeight, gradBias);
    block.write(channels.coefficients.slope, stored, slope);
    block.write(channels.coefficients.offset, stored, offset);
  });
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
