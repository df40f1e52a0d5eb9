// Backward of channels whose runs are short, in groups.
#include "backward.cuh"
#include "backward.h"
#include "walk_planes.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) backwardOfPlanes(const BackwardArguments<PlanesCut> a) {
  forPieces<Backward<Variant::kind, S, Variant::width, WalkPlanes<Variant::width>>, Compute<S>>(a);
}

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<PlanesCut>& arguments) {
  forWholeVariant(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(backwardOfPlanes<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
