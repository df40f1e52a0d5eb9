// The input's gradient in the order of memory: for runs, and wherever columns do not fit the access width.
#include "elementwise.cuh"
#include "gradient.h"
#include "in_order.cuh"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kBatch = kGradientBatch;

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) gradientInOrder(const GradientArguments<InOrderCut> a) {
  using C = Compute<S>;
  const ChunkInOrder<V> chunk(a.cut);
  Slot slots[kBatch];
  BackwardPacks<S, V> packs[kBatch];
  UNROLL
  for (uint32_t b = 0; b < kBatch; ++b) {
    slots[b] = chunk.slot(b);
    packs[b].load(a.tensors, slots[b]);
  }
  UNROLL
  for (uint32_t b = 0; b < kBatch; ++b) {
    const auto channels = chunk.channels(b);
    const auto affineOf = [&](uint32_t channel) { return readBackwardAffine<C>(a.coefficients, channel, a.tensors.constantStatistics); };
    const BackwardAffine<C> first = affineOf(channels.first);
    storeGradients<kind>(a.tensors, slots[b], packs[b], [&](int e) { return channels.same ? first : affineOf(chunk.channel(b, e)); });
  }
}

void launchGradient(const KernelChoice& choice, cudaStream_t stream, const GradientArguments<InOrderCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(gradientInOrder<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
