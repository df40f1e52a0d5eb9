// The transform for channels that come last: each thread keeps the coefficients of its columns and goes down the rows.
#include "elementwise.cuh"
#include "transform.h"
#include "walk_columns.cuh"

namespace cuda_batchnorm::cuda {

// Rows in flight; smooth activations of eight columns need the registers for themselves.
template <ActivationKind kind, int V>
constexpr uint32_t kBatch = kind >= ActivationKind::Smooth && V == 8 ? 2 : 4;

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kTransformThreads, 2) transformColumns(const TransformArguments<ColumnsCut> a) {
  using C = Compute<S>;
  constexpr int V = Variant::width;
  constexpr uint32_t kRows = kBatch<Variant::kind, V>;
  using Walk = WalkColumns<V>;
  const Walk walk(a.cut, blockIndex() % a.cut.tiles, blockIndex() / a.cut.tiles);
  const auto affines = dynamicShared<Affine<C>>(0);
  forChannels(walk, [&](uint32_t c) { affines.store(c, affineOf<C>(readChannel<C>(a.parameters, walk.firstChannel() + c))); });
  syncBlock();
  Affine<C> affine[V];
  UNROLL
  for (int e = 0; e < V; ++e) affine[e] = affines.load(walk.channelOf(e));
  // Whole warps go down together, for the sake of the mask.
  for (uint32_t step = 0; step < walk.steps(); step += kRows) {
    typename Walk::Slot slots[kRows];
    Pack<S, V> input[kRows], residual[kRows];
    UNROLL
    for (uint32_t b = 0; b < kRows; ++b) {
      slots[b] = walk.slot(step + b);
      input[b] = loadSlot<S, V>(static_cast<const S*>(a.tensors.input), slots[b]);
      residual[b] = loadOptional<S, V>(a.tensors.residual, slots[b]);
    }
    UNROLL
    for (uint32_t b = 0; b < kRows; ++b) {
      uint32_t bits = 0;
      const auto output = forwardPack<Variant::kind>(
          a.tensors, input[b], residual[b], [&](int e) { return affine[e]; }, bits);
      storeSlot(static_cast<S*>(a.tensors.output), slots[b], output);
      if (a.tensors.mask != nullptr) storeMask<V>(a.tensors.mask, slots[b], bits);
    }
  }
}

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<ColumnsCut>& arguments) {
  forWideOrNarrow(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(transformColumns<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
