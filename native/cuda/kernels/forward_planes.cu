// Training forward of channels whose runs are short, in groups.
#include "forward.cuh"
#include "forward.h"
#include "walk_planes.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfPlanes(const ForwardArguments<PlanesCut> a) {
  forPieces<Forward<Variant::kind, S, Variant::width, WalkPlanes<Variant::width>>, Compute<S>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<PlanesCut>& arguments) {
  forWholeVariant(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(forwardOfPlanes<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
