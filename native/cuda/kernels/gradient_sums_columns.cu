// The sums for channels that come last. The last block of a tile of columns to arrive adds up its chunks, always in the same order.
#include "columns.cuh"
#include "elementwise.cuh"
#include "gradient_sums.h"

namespace cuda_batchnorm::cuda {

// Rows in flight, of two or three tensors each; half types have enough to do with the coefficients of eight columns.
template <int V>
constexpr uint32_t kBatch = V == 8 ? 1 : 2;
constexpr uint32_t kStretch = 64;  // rows between two additions to the total: short sums lose little

// Leaves the sums of the thread's columns at its place in `values`, which keeps them in the meantime too: registers are scarce.
template <ActivationKind kind, class S, int V>
DEVICE void sumsOfThread(const GradientSumsArguments<ColumnsCut>& a, const ChunkOfColumns<V>& chunk, SharedArray<Pair<Compute<S>>> values) {
  using C = Compute<S>;
  const uint32_t place = chunk.place();
  UNROLL
  for (uint32_t e = 0; e < V; ++e) values.store(place + e, {});
  Affine<C> affine[V];
  UNROLL
  for (int e = 0; e < V; ++e) affine[e] = readAffine<C>(a.results.coefficients, chunk.channel(e));
  const uint32_t step = a.cut.threadsY;
  for (uint32_t begin = chunk.y(); begin < chunk.rows(); begin += kStretch * step) {
    const uint32_t end = begin + kStretch * step < chunk.rows() ? begin + kStretch * step : chunk.rows();
    Pair<C> sums[V] = {};
    for (uint32_t row = begin; row < end; row += kBatch<V> * step) {
      Slot slots[kBatch<V>];
      BackwardPacks<S, V> packs[kBatch<V>];
      UNROLL
      for (uint32_t b = 0; b < kBatch<V>; ++b) {
        slots[b] = chunk.slot(row + b * step);
        packs[b].load(a.tensors, slots[b]);
      }
      UNROLL
      for (uint32_t b = 0; b < kBatch<V>; ++b) {
        UNROLL
        for (int e = 0; e < V; ++e) {
          if (e >= slots[b].high) continue;
          const C dz = preActivationGradient<kind>(a.tensors, packs[b], e, affine[e]);
          sums[e].first += dz;
          sums[e].second = multiplyAdd(dz, widen(packs[b].input.values[e]) - affine[e].mean, sums[e].second);
        }
      }
    }
    UNROLL
    for (uint32_t e = 0; e < V; ++e) values.store(place + e, AddPairs()(values.load(place + e), sums[e]));
  }
}

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kBlockThreads, 2) gradientSumsOfColumns(const GradientSumsArguments<ColumnsCut> a) {
  using C = Compute<S>;
  const auto values = dynamicShared<Pair<C>>(0);
  const ChunkOfColumns<V> chunk(a.cut);

  if (chunk.active()) sumsOfThread<kind, S, V>(a, chunk, values);
  addColumns<V>(a.cut, chunk, values, AddPairs());
  if (!mergeChunksOfColumns<V>(a.cut, a.merge, chunk, values, AddPairs())) return;
  for (uint32_t c = threadIndex(); c < chunk.channels(); c += blockThreads()) {
    const uint32_t channel = chunk.firstChannel() + c;
    const Pair<C> sums = values.load(c);
    const Channel parameters = readChannel<C>(a.results.parameters, channel);
    writeBackward(a.results, channel, finishBackward<C>(a.results, channel, parameters, sums.first, sums.second));
  }
}

void launchGradientSums(const KernelChoice& choice, cudaStream_t stream, const GradientSumsArguments<ColumnsCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(gradientSumsOfColumns<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
