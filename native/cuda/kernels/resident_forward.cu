// Training forward of channels that fit a block: mean, variance about that mean, transform, all from shared memory.
#include "elementwise.cuh"
#include "precise.cuh"
#include "resident.cuh"

namespace cuda_batchnorm::cuda {

// Sums over the channel's values of x - shift and of its square, in all threads.
template <class S, int V>
DEVICE Pair<Compute<S>> sumsAbout(Compute<S> shift, const ChunkOfRuns<V>& channel, SharedArray<Pack<S, V>> slots) {
  using C = Compute<S>;
  C sums[V] = {}, squares[V] = {};
  forEachSlot(channel, [&](uint32_t i, const Slot& slot) {
    const Pack<S, V> pack = slots.load(i);
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (e < slot.low || e >= slot.high) continue;
      const C d = widen(pack.values[e]) - shift;
      sums[e] += d;
      squares[e] = multiplyAdd(d, d, squares[e]);
    }
  });
  Pair<C> total = {sums[0], squares[0]};
  UNROLL
  for (int e = 1; e < V; ++e) total = AddPairs()(total, {sums[e], squares[e]});
  return blockTotal(total, AddPairs(), pairScratch<C>());
}

// Twice: about a value of the channel, which gives a mean; about that mean, which gives what it lacks and the variance.
template <class S, int V>
DEVICE Moments<Compute<S>> momentsOfResident(const ChunkOfRuns<V>& channel, SharedArray<Pack<S, V>> slots) {
  using C = Compute<S>;
  const auto count = static_cast<C>(channel.values());
  C first = 0;
  if (threadIndex() == 0) first = firstValue(slots.load(0), channel.slot(0));
  const C shift = broadcast(first);
  const C mean = shift + sumsAbout<S, V>(shift, channel, slots).first / count;
  const Pair<C> sums = sumsAbout<S, V>(mean, channel, slots);
  return momentsFromSums(count, mean, sums.first, sums.second);
}

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) residentForward(const ResidentForwardArguments a) {
  using C = Compute<S>;
  const ChunkOfRuns<V> channel(a.cut, blockIndex(), 0);
  const auto slots = residentSlots<S, V>(0, channel.slots());
  const S* const input = static_cast<const S*>(a.tensors.input);
  bring(input, channel, slots);

  PreciseMoments moments = inDouble(momentsOfResident<S, V>(channel, slots));
  if (needsPrecise(moments, a.results)) moments = preciseMoments(input, a.results, blockIndex(), doubleScratch());
  Affine<C> affine = {};
  if (threadIndex() == 0) affine = finishTraining<C>(a.results, blockIndex(), moments.mean, moments.m2);
  affine = broadcast(affine);

  // Whole warps go on together, for the sake of the mask.
  for (uint32_t first = 0; first < channel.slots(); first += blockThreads()) {
    const uint32_t i = first + threadIndex();
    const Slot slot = channel.slot(i);
    const Pack<S, V> pack = i < channel.slots() ? slots.load(i) : Pack<S, V>{};
    uint32_t bits = 0;
    const auto output = forwardPack<kind>(
        a.tensors, pack, loadOptional<S, V>(a.tensors.residual, slot), [&](int) { return affine; }, bits);
    storeSlot(static_cast<S*>(a.tensors.output), slot, output);
    if (a.tensors.mask != nullptr) storeMask<V>(a.tensors.mask, slot, bits);
  }
}

template <class S>
auto forwardKernel(ActivationKind kind) {
  return kind == ActivationKind::Linear ? residentForward<ActivationKind::Linear, S, kVector<S>>
                                        : residentForward<ActivationKind::Smooth, S, kVector<S>>;
}

void allowResidentForward(size_t sharedBytes) {
  for (const ActivationKind kind : {ActivationKind::Linear, ActivationKind::Smooth}) {
    allowSharedMemory(forwardKernel<float>(kind), sharedBytes);
    allowSharedMemory(forwardKernel<Float16>(kind), sharedBytes);
    allowSharedMemory(forwardKernel<BFloat16>(kind), sharedBytes);
  }
}

void launchResidentForward(const KernelChoice& choice, cudaStream_t stream, const ResidentForwardArguments& arguments) {
  const ActivationKind kind = kindOf(arguments.tensors.activation);
  if (choice.dtype == DType::Float32) launch(forwardKernel<float>(kind), choice.shape, stream, arguments);
  if (choice.dtype == DType::Float16) launch(forwardKernel<Float16>(kind), choice.shape, stream, arguments);
  if (choice.dtype == DType::BFloat16) launch(forwardKernel<BFloat16>(kind), choice.shape, stream, arguments);
}

}  // namespace cuda_batchnorm::cuda
