// Training forward of channels that come last.
#include "forward.cuh"
#include "forward.h"
#include "walk_columns.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) forwardOfColumns(const ForwardArguments<ColumnsCut> a) {
  forward<kind, S, V, WalkColumns<V>>(a);
}

void launchForward(const KernelChoice& choice, cudaStream_t stream, const ForwardArguments<ColumnsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(forwardOfColumns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
