// Backward of channels that come last.
#include "backward.cuh"
#include "backward.h"
#include "walk_columns.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) backwardOfColumns(const BackwardArguments<ColumnsCut> a) {
  forPieces<Backward<Variant::kind, S, Variant::width, WalkColumns<Variant::width>>, Compute<S>>(a);
}

void launchBackward(const KernelChoice& choice, cudaStream_t stream, const BackwardArguments<ColumnsCut>& arguments) {
  forWideOrNarrow(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(backwardOfColumns<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
