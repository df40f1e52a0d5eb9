// Backward of channels that are made of long runs.
#include "backward.cuh"
#include "backward.h"
#include "walk_runs.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) backwardOfRuns(const BackwardArguments<RunsCut> a) {
  backward<kind, S, V, WalkRuns<V>>(a);
}

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<RunsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(backwardOfRuns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
