// Training forward of channels that are made of long runs.
#include "forward.cuh"
#include "forward.h"
#include "walk_runs.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfRuns(const ForwardArguments<RunsCut> a) {
  forward<kind, S, V, WalkRuns<V>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<RunsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(forwardOfRuns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
