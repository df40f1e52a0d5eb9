// Training forward of channels whose runs are short, in groups.
#include "forward.cuh"
#include "forward.h"
#include "walk_planes.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfPlanes(const ForwardArguments<PlanesCut> a) {
  forward<kind, S, V, WalkPlanes<V>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<PlanesCut>& arguments) {
  forWideElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(forwardOfPlanes<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
