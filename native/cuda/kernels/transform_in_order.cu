// The transform in the order of memory: for runs, and wherever columns do not fit the access width.
#include "elementwise.cuh"
#include "in_order.cuh"
#include "transform.h"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kBatch = kTransformBatch;

template <ActivationKind kind, class S, int V>
KERNEL LAUNCH_BOUNDS(kTransformThreads, 2) transformInOrder(const TransformArguments<InOrderCut> a) {
  using C = Compute<S>;
  const ChunkInOrder<V> chunk(a.cut);
  const auto affines = dynamicShared<Affine<C>>(0);
  Slot slots[kBatch];
  Pack<S, V> input[kBatch], residual[kBatch];
  UNROLL
  for (uint32_t b = 0; b < kBatch; ++b) {
    slots[b] = chunk.slot(b);
    input[b] = loadSlot<S, V>(static_cast<const S*>(a.tensors.input), slots[b]);
    residual[b] = loadOptional<S, V>(a.tensors.residual, slots[b]);
  }
  // While they are on their way.
  for (uint32_t run = threadIndex(); run < chunk.runs(); run += blockThreads()) {
    affines.store(run, affineOf<C>(readChannel<C>(a.parameters, chunk.channelOf(run))));
  }
  syncBlock();
  UNROLL
  for (uint32_t b = 0; b < kBatch; ++b) {
    const bool some = slots[b].high > 0;
    const uint32_t run = some ? chunk.runOf(b, 0) : 0;
    const bool same = !some || chunk.runOf(b, slots[b].high - 1) == run;
    const Affine<C> first = affines.load(run);
    uint32_t bits = 0;
    const auto output = forwardPack<kind>(
        a.tensors, input[b], residual[b], [&](int e) { return same || e >= slots[b].high ? first : affines.load(chunk.runOf(b, e)); },
        bits);
    storeSlot(static_cast<S*>(a.tensors.output), slots[b], output);
    if (a.tensors.mask != nullptr) storeMask<V>(a.tensors.mask, slots[b], bits);
  }
}

void probeKernels(size_t sharedBytesOfDevice) {
  allowSharedMemory(transformInOrder<ActivationKind::Linear, float, kVector<float>>, static_cast<uint32_t>(sharedBytesOfDevice));
}

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<InOrderCut>& arguments) {
  forElementAndKind(choice, arguments.tensors.activation, [&](auto element, auto width, auto kind) {
    launch(transformInOrder<decltype(kind)::value, decltype(element), decltype(width)::value>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
