// The input's gradient for channels that come last: each thread keeps the coefficients of its columns and goes down the rows.
#include "columns.cuh"
#include "elementwise.cuh"
#include "gradient.h"

namespace cuda_batchnorm::cuda {

// Rows in flight, of two or three tensors each; half types have enough to do with the coefficients of eight columns.
template <int V>
constexpr uint32_t kBatch = V == 8 ? 1 : 2;

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) gradientOfColumns(const GradientArguments<ColumnsCut> a) {
  using C = Compute<S>;
  const ChunkOfColumns<V> chunk(a.cut);
  if (!chunk.active()) return;
  BackwardAffine<C> affine[V];
  UNROLL
  for (int e = 0; e < V; ++e) affine[e] = readBackwardAffine<C>(a.coefficients, chunk.channel(e), a.tensors.constantStatistics);
  for (uint32_t row = chunk.y(); row < chunk.rows(); row += kBatch<V> * a.cut.threadsY) {
    Slot slots[kBatch<V>];
    BackwardPacks<S, V> packs[kBatch<V>];
    UNROLL
    for (uint32_t b = 0; b < kBatch<V>; ++b) {
      slots[b] = chunk.slot(row + b * a.cut.threadsY);
      packs[b].load(a.tensors, slots[b]);
    }
    UNROLL
    for (uint32_t b = 0; b < kBatch<V>; ++b) storeGradients<kind>(a.tensors, slots[b], packs[b], [&](int e) { return affine[e]; });
  }
}

void launchGradient(const KernelChoice& choice, cudaStream_t stream, const GradientArguments<ColumnsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(gradientOfColumns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
