// The one source behind every instruction set: a file that defines KERNEL_NAMESPACE and includes this is a set of kernels.

#include "channels.h"
#include "columns.h"
#include "conversion.h"
#include "kernels.h"
#include "runs.h"

#define KERNEL_NAME_OF(name) #name
#define KERNEL_NAME(name) KERNEL_NAME_OF(name)

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

template <class S, template <class> class Forward>
void forward(const ForwardTensors& tensors, const Tile& tile, const Affine& affine) {
  dispatchForward(tensors, Forward<S>{tensors, tile, affine});
}

template <class S, template <class> class Sums>
void gradientSums(const BackwardTensors& tensors, const Tile& tile, const BackwardAffine& affine, GradientSums* sums) {
  ChannelTotals totals;
  totals.clear(tile.channels);
  dispatchBackward(tensors, Sums<S>{tensors, tile, affine, totals});
  for (int64_t c = 0; c < tile.channels; ++c) sums[c] = {totals.first[c], totals.second[c]};
}

template <class S, template <class> class Gradient>
void gradient(const BackwardTensors& tensors, const Tile& tile, const BackwardAffine& affine) {
  dispatchBackward(tensors, Gradient<S>{tensors, tile, affine});
}

template <class S>
constexpr Kernels::ForDType forDType() {
  return {{runMoments<S>, forward<S, RunForward>, gradientSums<S, RunGradientSums>, gradient<S, RunGradient>},
          {columnMoments<S>, forward<S, ColumnForward>, gradientSums<S, ColumnGradientSums>, gradient<S, ColumnGradient>},
          {convertRun<float, S>, convertRun<double, S>, convertRun<Float16, S>, convertRun<BFloat16, S>}};
}

const Kernels& table() {
  static constexpr Kernels kTable = {KERNEL_NAME(KERNEL_NAMESPACE),
                                     {trainingChannels, inferenceChannels, prepareChannels, finishChannels},
                                     {forDType<float>(), forDType<double>(), forDType<Float16>(), forDType<BFloat16>()}};
  return kTable;
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
