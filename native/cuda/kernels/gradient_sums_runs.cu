// The sums for channels that are made of runs. The last block of a channel to arrive adds up all of its chunks, always in the same order.
#include "elementwise.cuh"
#include "gradient_sums.h"

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

// Sums of the whole channel, in all threads of the last block to arrive; others get `false`.
template <class C>
DEVICE bool addChunks(const GradientSumsArguments<RunsCut>& a, uint32_t channel, uint32_t chunk, Pair<C>& total,
                      SharedArray<Pair<C>> scratch) {
  if (a.cut.chunks == 1) return true;
  auto* const partials = static_cast<Pair<C>*>(a.merge.partials);
  bool last = false;
  if (threadIndex() == 0) {
    storeGlobal(partials + int64_t{chunk} * a.cut.channels + channel, total);
    last = arriveAt(a.merge.counters + channel) == a.cut.chunks - 1;
  }
  if (!anyInBlock(last)) return false;
  total = {};
  for (uint32_t i = threadIndex(); i < a.cut.chunks; i += blockThreads()) {
    total = AddPairs()(total, loadFresh(partials + int64_t{i} * a.cut.channels + channel));
  }
  total = blockTotal(total, AddPairs(), scratch);
  if (threadIndex() == 0) storeGlobal(a.merge.counters + channel, 0u);
  return true;
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
  if (!addChunks(a, channel, chunk, total, scratch) || threadIndex() > 0) return;
  const Channel parameters = readChannel<C>(a.results.parameters, channel);
  writeBackward(a.results, channel, finishBackward<C>(a.results, channel, parameters, total.first, total.second));
}

void launchGradientSums(const KernelChoice& choice, cudaStream_t stream, const GradientSumsArguments<RunsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(gradientSumsOfRuns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
