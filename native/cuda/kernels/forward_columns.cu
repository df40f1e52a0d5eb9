// Training forward of channels that come last.
#include "forward.cuh"
#include "forward.h"
#include "walk_columns.cuh"

namespace cuda_batchnorm::cuda {

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfColumns(const ForwardArguments<ColumnsCut> a) {
  forPieces<Forward<Variant::kind, S, Variant::width, WalkColumns<Variant::width>>, Compute<S>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<ColumnsCut>& arguments) {
  forWideOrNarrow(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(forwardOfColumns<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
