#include "channel.cuh"
#include "coefficients.h"

namespace cuda_batchnorm::cuda {

template <class C>
KERNEL LAUNCH_BOUNDS(kBlockThreads) coefficientsOfChannels(const CoefficientsArguments a) {
  const int64_t channel = int64_t{blockIndex()} * blockThreads() + threadIndex();
  if (channel < a.channels) writeAffine(a.coefficients, channel, affineOf<C>(readChannel<C>(a.parameters, channel)));
}

void launchCoefficients(const KernelChoice& choice, cudaStream_t stream, const CoefficientsArguments& arguments) {
  if (choice.dtype == DType::Float64) {
    launch(coefficientsOfChannels<double>, choice.shape, stream, arguments);
  } else {
    launch(coefficientsOfChannels<float>, choice.shape, stream, arguments);
  }
}

}  // namespace cuda_batchnorm::cuda
