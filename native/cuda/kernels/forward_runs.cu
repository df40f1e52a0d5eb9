// Training forward of channels that are made of long runs.
#include "forward.cuh"
#include "forward.h"
#include "walk_runs.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfRuns(const ForwardArguments<RunsCut> a) {
  forPieces<Forward<Variant::kind, S, Variant::width, WalkRuns<Variant::width, Variant::whole>>, Compute<S>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<RunsCut>& arguments) {
  forVariant(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(forwardOfRuns<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
