// Backward of channels whose runs are short, in groups.
#include "backward.cuh"
#include "backward.h"
#include "walk_planes.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) backwardOfPlanes(const BackwardArguments<PlanesCut> a) {
  backward<kind, S, V, WalkPlanes<V>>(a);
}

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<PlanesCut>& arguments) {
  forWideElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(backwardOfPlanes<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
