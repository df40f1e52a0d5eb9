// The sums for channels that are made of runs. The last block of a channel to arrive adds up all of its chunks, always in the same order.
#include "elementwise.cuh"
#include "gradient_sums.h"
#include "runs.cuh"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kBatch = 2;  // slots in flight, of two or three tensors each

template <ActivationKind kind, class S, int V>
DEVICE Pair<Compute<S>> sumsOfThread(const BackwardTensors& tensors, const ChunkOfRuns<V>& chunk, const Affine<Compute<S>>& affine) {
  using C = Compute<S>;
  C sums[V] = {}, dots[V] = {};
  for (uint32_t i = threadIndex(); i < chunk.slots(); i += kBatch * blockThreads()) {
    Slot slots[kBatch];
    BackwardPacks<S, V> packs[kBatch];
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      slots[b] = chunk.slot(i + b * blockThreads());
      packs[b].load(tensors, slots[b]);
    }
    UNROLL
    for (uint32_t b = 0; b < kBatch; ++b) {
      UNROLL
      for (int e = 0; e < V; ++e) {
        if (e < slots[b].low || e >= slots[b].high) continue;
        const C dz = preActivationGradient<kind>(tensors, packs[b], e, affine);
        sums[e] += dz;
        dots[e] = multiplyAdd(dz, widen(packs[b].input.values[e]) - affine.mean, dots[e]);
      }
    }
  }
  Pair<C> total = {sums[0], dots[0]};
  UNROLL
  for (int e = 1; e < V; ++e) total = AddPairs()(total, {sums[e], dots[e]});
  return total;
}

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) gradientSumsOfRuns(const GradientSumsArguments<RunsCut> a) {
  using C = Compute<S>;
  const auto channels = static_cast<uint32_t>(a.cut.channels);
  const uint32_t chunk = blockIndex() / channels;
  const uint32_t channel = blockIndex() - chunk * channels;
  const auto scratch = dynamicShared<Pair<C>>(0);

  const ChunkOfRuns<V> mine(a.cut, channel, chunk);
  const Affine<C> affine = readAffine<C>(a.results.coefficients, channel);
  Pair<C> total = blockTotal(sumsOfThread<kind, S, V>(a.tensors, mine, affine), AddPairs(), scratch);
  if (!mergeChunksOfRuns(a.cut, a.merge, channel, chunk, total, AddPairs(), scratch) || threadIndex() > 0) return;
  const Channel parameters = readChannel<C>(a.results.parameters, channel);
  writeBackward(a.results, channel, finishBackward<C>(a.results, channel, parameters, total.first, total.second));
}

void launchGradientSums(const KernelChoice& choice, cudaStream_t stream, const GradientSumsArguments<RunsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(gradientSumsOfRuns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
