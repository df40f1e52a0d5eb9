// Backward of channels that are made of long runs.
#include "backward.cuh"
#include "backward.h"
#include "walk_runs.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) backwardOfRuns(const BackwardArguments<RunsCut> a) {
  forPieces<Backward<Variant::kind, S, Variant::width, WalkRuns<Variant::width, Variant::whole>>, Compute<S>>(a);
}

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<RunsCut>& arguments) {
  forVariant(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(backwardOfRuns<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
