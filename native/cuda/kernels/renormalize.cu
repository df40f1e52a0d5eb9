// A kernel of its own, not a part of the forward kernels: these have no registers to spare on older GPUs, and most passes do without.
#include "channel.cuh"
#include "launch.h"
#include "renormalize.h"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kThreads = 128;

// NaN stays NaN.
DEVICE double within(double value, double least, double most) { return value < least ? least : value > most ? most : value; }

// One thread for each channel.
template <class P>
KERNEL LAUNCH_BOUNDS(kThreads) renormalizeChannels(const RenormArguments a) {
  const int64_t channel = int64_t{blockIndex()} * blockThreads() + threadIndex();
  if (channel >= a.channels) return;
  const auto measured = [&](int64_t row) { return loadGlobal(a.measured + row * a.channels + channel); };
  const auto given = [&](const void* array, double whenAbsent) {
    return array == nullptr ? whenAbsent : static_cast<double>(loadParameter(static_cast<const P*>(array) + channel));
  };
  const auto save = [&](int64_t row, double value) {
    storeGlobal(static_cast<P*>(a.statistics) + row * a.channels + channel, static_cast<P>(value));
  };
  P* const runningMean = static_cast<P*>(a.runningMean) + channel;
  P* const runningVariance = static_cast<P*>(a.runningVariance) + channel;
  const double mean = measured(0) + measured(1), variance = measured(2);
  const auto meanBefore = static_cast<double>(loadGlobal(runningMean)), varianceBefore = static_cast<double>(loadGlobal(runningVariance));
  const double inverse = 1 / sqrt(varianceBefore + a.eps);
  const double scale = within(sqrt(variance + a.eps) * inverse, 1 / a.renorm.rMax, a.renorm.rMax);
  const double shift = within((mean - meanBefore) * inverse, -a.renorm.dMax, a.renorm.dMax);
  const SplitMean<P> split(mean);
  save(0, split.high);
  save(1, split.low);
  save(2, variance);
  save(3, scale);
  save(4, shift);
  const Scaling scaling = Correction{scale, shift}.apply({given(a.weight, 1), given(a.bias, 0)});
  storeGlobal(a.scaling + channel, scaling.weight);
  storeGlobal(a.scaling + a.channels + channel, scaling.bias);
  const auto moved = [&](double before, double batch) { return static_cast<P>((1 - a.momentum) * before + a.momentum * batch); };
  storeGlobal(runningMean, moved(meanBefore, mean));
  storeGlobal(runningVariance, moved(varianceBefore, a.unbiased * variance));
}

void renormalize(cudaStream_t stream, const RenormArguments& arguments) {
  LaunchShape shape;
  shape.block = kThreads;
  shape.grid = static_cast<uint32_t>((arguments.channels + kThreads - 1) / kThreads);
  if (arguments.inDouble) {
    launch(renormalizeChannels<double>, shape, stream, arguments);
  } else {
    launch(renormalizeChannels<float>, shape, stream, arguments);
  }
}

}  // namespace cuda_batchnorm::cuda
