// The transform for channels that come last: each thread keeps the coefficients of its columns and goes down the rows.
#include "columns.cuh"
#include "elementwise.cuh"
#include "transform.h"

namespace cuda_batchnorm::cuda {

// Rows in flight; smooth activations of eight columns need the registers for themselves.
template <ActivationKind kind, int V>
constexpr uint32_t kBatch = kind == ActivationKind::Smooth && V == 8 ? 2 : 4;

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) transformColumns(const TransformArguments<ColumnsCut> a) {
  using C = Compute<S>;
  const ChunkOfColumns<V> chunk(a.cut);
  Affine<C> affine[V] = {};
  if (chunk.active()) {
    UNROLL
    for (int e = 0; e < V; ++e) affine[e] = readAffine<C>(a.coefficients, chunk.channel(e));
  }
  // Whole warps go down together, for the sake of the mask.
  for (uint32_t first = 0; first < chunk.rows(); first += kBatch<kind, V> * a.cut.threadsY) {
    Slot slots[kBatch<kind, V>];
    Pack<S, V> input[kBatch<kind, V>], residual[kBatch<kind, V>];
    UNROLL
    for (uint32_t b = 0; b < kBatch<kind, V>; ++b) {
      slots[b] = chunk.slot(first + chunk.y() + b * a.cut.threadsY);
      input[b] = loadSlot<S, V>(static_cast<const S*>(a.tensors.input), slots[b]);
      residual[b] = loadOptional<S, V>(a.tensors.residual, slots[b]);
    }
    UNROLL
    for (uint32_t b = 0; b < kBatch<kind, V>; ++b) {
      uint32_t bits = 0;
      const auto output = forwardPack<kind>(
          a.tensors, input[b], residual[b], [&](int e) { return affine[e]; }, bits);
      storeSlot(static_cast<S*>(a.tensors.output), slots[b], output);
      if (a.tensors.mask != nullptr) storeMask<V>(a.tensors.mask, slots[b], bits);
    }
  }
}

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<ColumnsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(transformColumns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
