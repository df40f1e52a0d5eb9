// Backward in one launch: a team sums its piece's gradients, keeping what it has room for of the input and the output's gradient, and
// writes the input's gradient. With constant statistics that does not wait for the sums: everything is read once, and nothing kept.
#pragma once

#include "elementwise.cuh"
#include "kept.cuh"
#include "walk.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V, class Walk>
class Backward {
  using C = Compute<S>;
  using Slot = typename Walk::Slot;
  using Arguments = BackwardArguments<typename Walk::Cut>;
  using Sums = LaneSums<C, V, Walk::kParts>;  // of dz and of dz * (x - mean)
  static constexpr uint32_t kBatch = backwardReads(kind >= ActivationKind::Smooth, V, Walk::kParts, sizeof(C) == 8);
  static constexpr uint32_t kSettleAfter = 32;  // batches
  static constexpr uint32_t kSideBatch = kind >= ActivationKind::Smooth ? kBatch : 2 * kBatch;

 public:
  DEVICE Backward(const Arguments& a, Team<C>& team, uint32_t piece)
      : a_(a),
        team_(team),
        walk_(a.cut, piece, team.rank()),
        input_(a.tensors.input, a.team, team.layout().kept, 0, walk_.threads()),
        gradOutput_(a.tensors.gradOutput, a.team, team.layout().kept, 1, walk_.threads()),
        keptSteps_(walk_.steps() < a.team.keptSteps ? walk_.steps() : a.team.keptSteps),
        channels_(dynamicShared<Channel>(team.layout().channels)),
        affines_(dynamicShared<BackwardAffine<C>>(team.layout().coefficients)) {}

  DEVICE void run() {
    // Before the copies: behind them it would come last.
    Given own = {};
    if (threadIndex() < walk_.channels()) own = givenOf(threadIndex());
    bringSteps(keptSteps_, [&](uint32_t step) {
      const Slot slot = walk_.slot(step);
      input_.begin(step, slot);
      gradOutput_.begin(step, slot);
    });
    prepare(own);
    const Sums sums = a_.tensors.constantStatistics ? sumsWhileWriting() : sumsOfAll();
    if (a_.sums) finish(sums);
    team_.leave();
    if (!a_.tensors.constantStatistics) write();
  }

 private:
  DEVICE Given givenOf(uint32_t channel) const { return readGiven(a_.results.parameters, walk_.firstChannel() + channel); }

  // What is known of the channels before their sums are. `own`: of the first one that is this thread's share.
  DEVICE void prepare(const Given& own) {
    forChannels(walk_, [&](uint32_t c) {
      const Channel channel = channelOf<C>(a_.results.parameters, c == threadIndex() ? own : givenOf(c), walk_.firstChannel() + c);
      channels_.store(c, channel);
      affines_.store(c, {affineOf<C>(channel), C{0}, C{0}});
    });
    syncBlock();
  }

  DEVICE void loadAffines(BackwardAffine<C> (&affine)[Walk::kParts]) const {
    UNROLL
    for (int p = 0; p < Walk::kParts; ++p) affine[p] = affines_.load(walk_.channelOf(p));
  }

  // Calls use(slot, packs) for some of the kept steps. What is not kept, a residual or a mask, is on its way for several of them.
  template <class Use>
  DEVICE void forKept(uint32_t begin, uint32_t end, const Use& use) const {
    for (uint32_t step = begin; step < end; step += kSideBatch) {
      Slot slots[kSideBatch];
      BackwardPacks<S, V> packs[kSideBatch];
      UNROLL
      for (uint32_t b = 0; b < kSideBatch; ++b) {
        slots[b] = step + b < end ? walk_.slot(step + b) : Slot{};
        packs[b].loadSides(a_.tensors, slots[b]);
      }
      UNROLL
      for (uint32_t b = 0; b < kSideBatch; ++b) {
        packs[b].input = input_.load(step + b, slots[b]);
        packs[b].gradOutput = gradOutput_.load(step + b, slots[b]);
        use(slots[b], packs[b]);
      }
    }
  }

  DEVICE void add(Sums& sums, const Slot& slot, const BackwardPacks<S, V>& packs, const BackwardAffine<C> (&affine)[Walk::kParts]) const {
    if (!slot.some()) return;
    const auto forwardAt = [&](int e) { return ofElement(walk_, affine, e).forward; };
    forGradients<kind>(a_.tensors, packs, forwardAt, [&](int e, C x, C dz) {
      if (slot.has(e)) sums.add(e, dz, x - forwardAt(e).mean);
    });
  }

  DEVICE Sums sumsOfAll() const {
    BackwardAffine<C> affine[Walk::kParts];
    loadAffines(affine);
    Sums sums;
    forRead<false>(keptSteps_, sums, [&](const Slot& slot, const BackwardPacks<S, V>& packs) { add(sums, slot, packs, affine); });
    forBroughtSteps(keptSteps_, [&](uint32_t begin, uint32_t end) {
      forKept(begin, end, [&](const Slot& slot, const BackwardPacks<S, V>& packs) { add(sums, slot, packs, affine); });
      sums.settle(walk_);
    });
    return sums;
  }

  DEVICE Sums sumsWhileWriting() const {
    BackwardAffine<C> affine[Walk::kParts];
    loadAffines(affine);
    Sums sums;
    forRead<false>(0, sums, [&](const Slot& slot, const BackwardPacks<S, V>& packs) {
      add(sums, slot, packs, affine);
      storeGradients<kind, true>(a_.tensors, slot, packs, [&](int e) { return ofElement(walk_, affine, e); });
    });
    return sums;
  }

  // Calls use(slot, packs) for the steps from `begin` on, which are read from memory; settles the sums now and then, and at the end.
  template <bool lastFirst, class Use>
  DEVICE void forRead(uint32_t begin, Sums& sums, const Use& use) const {
    const uint32_t count = walk_.steps() - begin;
    uint32_t batches = 0;
    for (uint32_t i = 0; i < count; i += kBatch) {
      Slot slots[kBatch];
      BackwardPacks<S, V> packs[kBatch];
      UNROLL
      for (uint32_t b = 0; b < kBatch; ++b) {
        const uint32_t step = lastFirst ? count - 1 - (i + b) : i + b;
        slots[b] = i + b < count ? walk_.slot(begin + step) : Slot{};
        packs[b].load(a_.tensors, slots[b]);
      }
      UNROLL
      for (uint32_t b = 0; b < kBatch; ++b) use(slots[b], packs[b]);
      if (++batches % kSettleAfter == 0) sums.settle(walk_);
    }
    sums.settle(walk_);
  }

  // The gradients of weight and bias, and the coefficients of the input's.
  DEVICE void finish(const Sums& sums) {
    const SharedArray<Pair<C>> values = team_.template values<Pair<C>>();
    addThreads(walk_, sums.total, AddPairs(), dynamicShared<Pair<C>>(team_.layout().scratch),
               [&](uint32_t c, const Pair<C>& total) { values.store(c, total); });
    const SharedArray<Pair<C>> totals = team_.template total<Pair<C>>(walk_.channels(), AddPairs());
    forChannels(walk_, [&](uint32_t c) {
      const Pair<C> total = totals.load(c);
      affines_.store(c,
                     finishBackward<C>(a_.results, walk_.firstChannel() + c, channels_.load(c), total.first, total.second, team_.leads()));
    });
    syncBlock();
  }

  // What was read last may still be in the cache.
  DEVICE void write() const {
    BackwardAffine<C> affine[Walk::kParts];
    loadAffines(affine);
    const auto store = [&](const Slot& slot, const BackwardPacks<S, V>& packs) {
      storeGradients<kind, false>(a_.tensors, slot, packs, [&](int e) { return ofElement(walk_, affine, e); });
    };
    Sums none;
    forRead<true>(keptSteps_, none, store);
    forKept(0, keptSteps_, store);
  }

  const Arguments& a_;
  Team<C>& team_;
  const Walk walk_;
  const Kept<S, V> input_, gradOutput_;
  const uint32_t keptSteps_;
  const SharedArray<Channel> channels_;
  const SharedArray<BackwardAffine<C>> affines_;
};

}  // namespace cuda_batchnorm::cuda
