// What is computed once per channel, in double: coefficients, saved and running statistics, parameter gradients.
#pragma once

#include <math.h>

#include "arguments.h"
#include "moments.cuh"

namespace cuda_batchnorm::cuda {

DEVICE double readParameter(const void* array, bool inDouble, int64_t i, double whenAbsent) {
  if (array == nullptr) return whenAbsent;
  if (inDouble) return loadParameter(static_cast<const double*>(array) + i);
  return static_cast<double>(loadParameter(static_cast<const float*>(array) + i));
}

// Running statistics are written by this very kernel, each by one thread.
DEVICE double readRunning(const void* array, bool inDouble, int64_t i) {
  if (inDouble) return loadGlobal(static_cast<const double*>(array) + i);
  return static_cast<double>(loadGlobal(static_cast<const float*>(array) + i));
}

DEVICE void writeParameter(void* array, bool inDouble, int64_t i, double value) {
  if (array == nullptr) return;
  if (inDouble) {
    storeGlobal(static_cast<double*>(array) + i, value);
  } else {
    storeGlobal(static_cast<float*>(array) + i, static_cast<float>(value));
  }
}

// A mean as T sees it: x - high is exact or nearly so; low is what is left of the mean.
template <class T>
struct SplitMean {
  double high, low;
  DEVICE explicit SplitMean(double mean) : high(static_cast<double>(static_cast<T>(mean))), low(isfinite(high) ? mean - high : 0) {}
};

template <class C>
struct Affine {
  C mean, scale, shift;
  DEVICE C apply(C x) const { return multiplyAdd(x - mean, scale, shift); }
};

template <class C>
DEVICE Affine<C> affineOf(double mean, double scale, double bias) {
  const SplitMean<C> split(mean);
  return {static_cast<C>(split.high), static_cast<C>(scale), static_cast<C>(bias - split.low * scale)};
}

// gradInput = dz * scale + ((x - mean) * slope + offset). Where the output took the input's place, x is the pre-activation, as the output
// tells it, and the mean is its own: the bias.
template <class C>
struct BackwardAffine {
  Affine<C> forward;
  C slope, offset;
};

// A channel's parameters, when its statistics are known. The normalized value is (x - mean) * unit.
struct Channel {
  double mean, low, unit, scale, bias;  // mean and low are parts of one number
};

// 0 where there is none.
DEVICE double reciprocal(double weight) {
  const double quotient = 1 / weight;
  return isfinite(quotient) ? quotient : 0;
}

template <class C>
DEVICE Channel readChannel(const Parameters& p, int64_t channel) {
  const double variance = readParameter(p.variance, p.inDouble, channel, 1);
  // A batch's variance beyond its dtype was saved as infinity. Its gradient is unknown then, and NaN says so where 0 would not.
  const double inverse = p.ofBatch && isinf(variance) ? static_cast<double>(NAN) : 1 / sqrt(variance + p.eps);
  const double weight = readParameter(p.weight, p.inDouble, channel, 1);
  const double bias = readParameter(p.bias, p.inDouble, channel, 0);
  if (p.inPlace) {
    const SplitMean<C> mean(bias);
    return {mean.high, mean.low, reciprocal(weight), weight * inverse, bias};
  }
  const SplitMean<C> mean(readParameter(p.mean, p.inDouble, channel, 0) + readParameter(p.meanLow, p.inDouble, channel, 0));
  return {mean.high, mean.low, inverse, weight * inverse, bias};
}

template <class C>
DEVICE Affine<C> affineOf(const Channel& channel) {
  return affineOf<C>(channel.mean + channel.low, channel.scale, channel.bias);
}

// ---- training ----

struct PreciseMoments {
  double mean, m2;
};

DEVICE void saveStatistics(const TrainingResults& results, int64_t channel, double mean, double variance) {
  const Parameters& p = results.parameters;
  const double rounded = p.inDouble ? mean : SplitMean<float>(mean).high;
  const double low = p.inDouble ? 0 : SplitMean<float>(mean).low;
  writeParameter(results.statistics, p.inDouble, channel, rounded);
  writeParameter(results.statistics, p.inDouble, results.channels + channel, low);
  writeParameter(results.statistics, p.inDouble, 2 * results.channels + channel, variance);

  const double keep = 1 - results.momentum;
  const auto update = [&](void* running, double batch) {
    if (running == nullptr) return;
    writeParameter(running, p.inDouble, channel, keep * readRunning(running, p.inDouble, channel) + results.momentum * batch);
  };
  update(results.runningMean, mean);
  update(results.runningVariance, results.unbiased * variance);
}

// The coefficients of the transform. Statistics are saved and the running ones updated by the one block that leads.
template <class C>
DEVICE Affine<C> finishTraining(const TrainingResults& results, int64_t channel, const PreciseMoments& moments, bool leads) {
  const Parameters& p = results.parameters;
  const double variance = (moments.m2 < 0 ? 0 : moments.m2) / results.valuesPerChannel;
  if (leads) saveStatistics(results, channel, moments.mean, variance);
  const double weight = readParameter(p.weight, p.inDouble, channel, 1);
  return affineOf<C>(moments.mean, weight / sqrt(variance + p.eps), readParameter(p.bias, p.inDouble, channel, 0));
}

// ---- backward ----

// The coefficients of the input's gradient, from the sums of dz and of dz * (x - mean). The gradients of the parameters are written by the
// one block that leads.
template <class C>
DEVICE BackwardAffine<C> finishBackward(const BackwardResults& results, int64_t index, const Channel& channel, double sum, double dot,
                                        bool leads) {
  // The kernels subtract the high part of the mean only; the low part's share is a multiple of the plain sum.
  const double gradWeight = (dot - channel.low * sum) * channel.unit;
  if (leads) {
    // A weight of 0 leaves nothing of the input in the output. What gradient it has is then unknown; the input's does not ask.
    const bool unknown = results.parameters.inPlace && channel.unit == 0;
    writeParameter(results.gradWeight, results.parameters.inDouble, index, unknown ? static_cast<double>(NAN) : gradWeight);
    writeParameter(results.gradBias, results.parameters.inDouble, index, sum);
  }
  const double slope = -channel.scale * channel.unit * gradWeight / results.valuesPerChannel;
  const double offset = -channel.scale * sum / results.valuesPerChannel - slope * channel.low;
  return {affineOf<C>(channel), static_cast<C>(slope), static_cast<C>(offset)};
}

}  // namespace cuda_batchnorm::cuda
