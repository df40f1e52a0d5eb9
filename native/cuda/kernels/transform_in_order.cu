// The transform in the order of memory: for runs, and wherever columns do not fit the access width.
#include "elementwise.cuh"
#include "in_order.cuh"
#include "transform.h"

namespace cuda_batchnorm::cuda {

constexpr uint32_t kBatch = kTransformBatch;

template <class S, class Variant>
KERNEL LAUNCH_BOUNDS(kTransformThreads, 2) transformInOrder(const TransformArguments<InOrderCut> a) {
  using C = Compute<S>;
  constexpr int V = Variant::width;
  using Chunk = ChunkInOrder<V, Variant::whole>;
  const Chunk chunk(a.cut);
  const auto affines = dynamicShared<Affine<C>>(0);
  typename Chunk::Slot slots[kBatch];
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
    const uint32_t run = slots[b].some() ? chunk.runOf(b, 0) : 0;
    const bool same = !slots[b].whole(V) || chunk.runOf(b, V - 1) == run;
    const Affine<C> first = affines.load(run);
    const auto affineOf = [&](int e) {
      const bool other = slots[b].whole(V) ? !same : slots[b].has(e);
      return other ? affines.load(chunk.runOf(b, e)) : first;
    };
    uint32_t bits = 0;
    const auto output = forwardPack<Variant::kind>(a.tensors, input[b], residual[b], affineOf, bits);
    storeSlot(static_cast<S*>(a.tensors.output), slots[b], output);
    if (a.tensors.mask != nullptr) storeMask<V>(a.tensors.mask, slots[b], bits);
  }
}

// Any kernel can be asked what goes for all.
using Plain = Variant<kVector<float>, true, ActivationKind::Identity>;

void probeKernels(size_t sharedBytesOfDevice) {
  allowSharedMemory(transformInOrder<float, Plain>, static_cast<uint32_t>(sharedBytesOfDevice));
}

int clustersAtOnce(uint32_t blocks, size_t sharedBytesOfDevice) {
  LaunchShape shape;
  shape.grid = shape.cluster = blocks;
  shape.block = kTransformThreads;
  shape.sharedBytes = static_cast<uint32_t>(sharedBytesOfDevice);
  return clustersAtOnce(transformInOrder<float, Plain>, shape);
}

void launchTransform(const KernelChoice& choice, cudaStream_t stream, const TransformArguments<InOrderCut>& arguments) {
  forVariant(choice, arguments.tensors.activation, [&](auto element, auto variant) {
    launch(transformInOrder<decltype(element), decltype(variant)>, choice.shape, stream, arguments);
  });
}

}  // namespace cuda_batchnorm::cuda
