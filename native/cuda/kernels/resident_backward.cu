// Backward of channels that fit a block, gradient and input both: sums, then the input's gradient, from shared memory.
#include "elementwise.cuh"
#include "resident.cuh"

namespace cuda_batchnorm::cuda {

template <class S, int V>
struct ResidentSlots {
  SharedArray<Pack<S, V>> input, gradOutput;

  DEVICE BackwardPacks<S, V> load(const BackwardTensors& tensors, uint32_t i, const Slot& slot) const {
    BackwardPacks<S, V> packs;
    packs.input = input.load(i);
    packs.gradOutput = gradOutput.load(i);
    packs.loadSides(tensors, slot);
    return packs;
  }
};

template <ActivationKind kind, class S, int V>
DEVICE Pair<Compute<S>> sumsOfResident(const BackwardTensors& tensors, const ChunkOfRuns<V>& channel, const ResidentSlots<S, V>& slots,
                                       const Affine<Compute<S>>& affine) {
  using C = Compute<S>;
  C sums[V] = {}, dots[V] = {};
  forEachSlot(channel, [&](uint32_t i, const Slot& slot) {
    const BackwardPacks<S, V> packs = slots.load(tensors, i, slot);
    UNROLL
    for (int e = 0; e < V; ++e) {
      if (e < slot.low || e >= slot.high) continue;
      const C dz = preActivationGradient<kind>(tensors, packs, e, affine);
      sums[e] += dz;
      dots[e] = multiplyAdd(dz, widen(packs.input.values[e]) - affine.mean, dots[e]);
    }
  });
  Pair<C> total = {sums[0], dots[0]};
  UNROLL
  for (int e = 1; e < V; ++e) total = AddPairs()(total, {sums[e], dots[e]});
  return blockTotal(total, AddPairs(), pairScratch<C>());
}

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kMostBlockThreads, 1) residentBackward(const ResidentBackwardArguments a) {
  using C = Compute<S>;
  const ChunkOfRuns<V> channel(a.cut, blockIndex(), 0);
  const ResidentSlots<S, V> slots = {residentSlots<S, V>(0, channel.slots()), residentSlots<S, V>(1, channel.slots())};
  bring(static_cast<const S*>(a.tensors.input), channel, slots.input);
  bring(static_cast<const S*>(a.tensors.gradOutput), channel, slots.gradOutput);

  Channel parameters = {};
  if (threadIndex() == 0) parameters = readChannel<C>(a.results.parameters, blockIndex());
  parameters = broadcast(parameters);
  BackwardAffine<C> affine = {affineOf<C>(parameters), C{0}, C{0}};
  const Pair<C> sums = sumsOfResident<kind>(a.tensors, channel, slots, affine.forward);
  if (threadIndex() == 0) affine = finishBackward<C>(a.results, blockIndex(), parameters, sums.first, sums.second);
  affine = broadcast(affine);
  forEachSlot(channel, [&](uint32_t i, const Slot& slot) {
    storeGradients<kind>(a.tensors, slot, slots.load(a.tensors, i, slot), [&](int) { return affine; });
  });
}

template <class S>
auto backwardKernel(ActivationKind kind) {
  return kind == ActivationKind::Linear ? residentBackward<ActivationKind::Linear, S, kVector<S>>
                                        : residentBackward<ActivationKind::Smooth, S, kVector<S>>;
}

void allowResidentBackward(size_t sharedBytes) {
  for (const ActivationKind kind : {ActivationKind::Linear, ActivationKind::Smooth}) {
    allowSharedMemory(backwardKernel<float>(kind), sharedBytes);
    allowSharedMemory(backwardKernel<Float16>(kind), sharedBytes);
    allowSharedMemory(backwardKernel<BFloat16>(kind), sharedBytes);
  }
}

void launchResidentBackward(const KernelChoice& choice, cudaStream_t stream, const ResidentBackwardArguments& arguments) {
  const ActivationKind kind = kindOf(arguments.tensors.activation);
  if (choice.dtype == DType::Float32) launch(backwardKernel<float>(kind), choice.shape, stream, arguments);
  if (choice.dtype == DType::Float16) launch(backwardKernel<Float16>(kind), choice.shape, stream, arguments);
  if (choice.dtype == DType::BFloat16) launch(backwardKernel<BFloat16>(kind), choice.shape, stream, arguments);
}

}  // namespace cuda_batchnorm::cuda
