// What is computed once per channel, in double: coefficients, saved and running statistics, parameter gradients.
#pragma once

#include <math.h>

#include "arguments.h"
#include "moments.cuh"

namespace cuda_batchnorm::cuda {

// A parameter as it was loaded. Whoever converts it waits for it; until then other things can be begun.
class Loaded {
 public:
  Loaded() = default;
  template <class P>
  DEVICE explicit Loaded(P value) {
    memcpy(&bits_, &value, sizeof value);
  }

  DEVICE double value(bool inDouble) const { return inDouble ? as<double>() : static_cast<double>(as<float>()); }

 private:
  template <class P>
  DEVICE P as() const {
    P value;
    memcpy(&value, &bits_, sizeof value);
    return value;
  }

  uint64_t bits_ = 0;
};

// What is given of a channel.
struct Given {
  Loaded mean, low, variance, weight, bias;  // mean and low are parts of one number
};

// None of the loads waits for another.
template <class P>
DEVICE Given readGivenAs(const Parameters& p, int64_t i) {
  const auto read = [&](const void* array, P whenAbsent) {
    return Loaded(array == nullptr ? whenAbsent : loadParameter(static_cast<const P*>(array) + i));
  };
  return {read(p.mean, 0), read(p.meanLow, 0), read(p.variance, 1), read(p.weight, 1), read(p.bias, 0)};
}
DEVICE Given readGiven(const Parameters& p, int64_t i) { return p.inDouble ? readGivenAs<double>(p, i) : readGivenAs<float>(p, i); }

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

// weight and bias of a channel, or what batch renormalization makes of them.
struct Scaling {
  double weight, bias;
};

// What batch renormalization makes of the normalized value: x̂ * scale + shift.
struct Correction {
  double scale, shift;
  DEVICE Scaling apply(const Scaling& given) const { return {given.weight * scale, given.bias + given.weight * shift}; }
};

// Of renormalized statistics. Not among what is given: it is rare, and would take registers while copies are begun.
DEVICE Correction readCorrection(const Parameters& p, int64_t i) {
  const auto read = [&](const void* array) {
    return p.inDouble ? loadParameter(static_cast<const double*>(array) + i)
                      : static_cast<double>(loadParameter(static_cast<const float*>(array) + i));
  };
  return {read(p.renormScale), read(p.renormShift)};
}

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
DEVICE Channel channelOf(const Parameters& p, const Given& given, int64_t channel) {
  const double variance = given.variance.value(p.inDouble);
  Scaling scaling = {given.weight.value(p.inDouble), given.bias.value(p.inDouble)};
  if (p.renormScale != nullptr) scaling = readCorrection(p, channel).apply(scaling);
  // A batch's variance beyond its dtype was saved as infinity. Its gradient is unknown then, and NaN says so where 0 would not.
  const double inverse = p.ofBatch && isinf(variance) ? static_cast<double>(NAN) : 1 / sqrt(variance + p.eps);
  const SplitMean<C> mean(p.inPlace ? scaling.bias : given.mean.value(p.inDouble) + given.low.value(p.inDouble));
  return {mean.high, mean.low, p.inPlace ? reciprocal(scaling.weight) : inverse, scaling.weight * inverse, scaling.bias};
}

template <class C>
DEVICE Channel readChannel(const Parameters& p, int64_t channel) {
  return channelOf<C>(p, readGiven(p, channel), channel);
}

template <class C>
DEVICE Affine<C> affineOf(const Channel& channel) {
  return affineOf<C>(channel.mean + channel.low, channel.scale, channel.bias);
}

// ---- training ----

struct PreciseMoments {
  double mean, m2;
};

DEVICE double varianceOf(const TrainingResults& results, const PreciseMoments& moments) {
  return (moments.m2 < 0 ? 0 : moments.m2) / results.valuesPerChannel;
}

// The coefficients of the transform.
template <class C>
DEVICE Affine<C> trainingAffine(const TrainingResults& results, const PreciseMoments& moments, double weight, double bias) {
  return affineOf<C>(moments.mean, weight / sqrt(varianceOf(results, moments) + results.parameters.eps), bias);
}

// Running statistics are read and written by this very kernel, each by one thread.
template <class P>
DEVICE void updateRunning(const TrainingResults& results, int64_t channel, double mean, double variance) {
  P* const runningMean = static_cast<P*>(results.runningMean) + channel;
  P* const runningVariance = static_cast<P*>(results.runningVariance) + channel;
  const P meanBefore = loadGlobal(runningMean), varianceBefore = loadGlobal(runningVariance);
  const auto moved = [&](P before, double batch) {
    return static_cast<P>((1 - results.momentum) * static_cast<double>(before) + results.momentum * batch);
  };
  storeGlobal(runningMean, moved(meanBefore, mean));
  storeGlobal(runningVariance, moved(varianceBefore, results.unbiased * variance));
}

// The batch's statistics, for backward, and the running ones: by one block of the team.
DEVICE void saveStatistics(const TrainingResults& results, int64_t channel, const PreciseMoments& moments) {
  const bool inDouble = results.parameters.inDouble;
  const double mean = moments.mean, variance = varianceOf(results, moments);
  writeParameter(results.statistics, inDouble, channel, inDouble ? mean : SplitMean<float>(mean).high);
  writeParameter(results.statistics, inDouble, results.channels + channel, inDouble ? 0 : SplitMean<float>(mean).low);
  writeParameter(results.statistics, inDouble, 2 * results.channels + channel, variance);
  if (results.runningMean == nullptr) return;
  inDouble ? updateRunning<double>(results, channel, mean, variance) : updateRunning<float>(results, channel, mean, variance);
}

// ---- backward ----

// Adds to what is there, or takes its place.
DEVICE void writeGradient(const BackwardResults& results, void* array, int64_t i, double value) {
  const bool inDouble = results.parameters.inDouble;
  if (array != nullptr && results.accumulates) {
    value += inDouble ? loadGlobal(static_cast<double*>(array) + i) : static_cast<double>(loadGlobal(static_cast<float*>(array) + i));
  }
  writeParameter(array, inDouble, i, value);
}

// `ofNormalized`: the sum of dz * x̂, which without batch renormalization is the gradient of the weight.
DEVICE void writeGradients(const BackwardResults& results, int64_t channel, double ofNormalized, double sum) {
  const Parameters& p = results.parameters;
  double gradWeight = ofNormalized;
  if (p.renormScale != nullptr) {
    const Correction correction = readCorrection(p, channel);
    gradWeight = correction.scale * ofNormalized + correction.shift * sum;
  }
  writeGradient(results, results.gradWeight, channel, gradWeight);
  writeGradient(results, results.gradBias, channel, sum);
}

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
    writeGradients(results, index, unknown ? static_cast<double>(NAN) : gradWeight, sum);
  }
  const double slope = -channel.scale * channel.unit * gradWeight / results.valuesPerChannel;
  const double offset = -channel.scale * sum / results.valuesPerChannel - slope * channel.low;
  return {affineOf<C>(channel), static_cast<C>(slope), static_cast<C>(offset)};
}

}  // namespace cuda_batchnorm::cuda
