// Training forward in one launch: a team measures its piece, keeping what it has room for, and writes the output.
#pragma once

#include "elementwise.cuh"
#include "kept.cuh"
#include "precise.cuh"
#include "walk.cuh"

namespace cuda_batchnorm::cuda {

template <ActivationKind kind, class S, int V, class Walk>
class Forward {
  using C = Compute<S>;
  using Slot = typename Walk::Slot;
  using Arguments = ForwardArguments<typename Walk::Cut>;
  using Sums = LaneSums<C, V, Walk::kParts>;  // of x - shift and of its square
  static constexpr uint32_t kSamples = 8;
  static constexpr uint32_t kReadBatch = kForwardReads;
  static constexpr uint32_t kSettleAfter = 16;  // batches
  static constexpr uint32_t kWriteBatch = kCrowded<kind, C, V, Walk::kParts> ? 2 : 4;

 public:
  DEVICE Forward(const Arguments& a, Team<C>& team, uint32_t piece)
      : a_(a),
        team_(team),
        walk_(a.cut, piece, team.rank()),
        kept_(a.tensors.input, a.team, team.layout().kept, 0, walk_.threads()),
        keptSteps_(walk_.steps() < a.team.keptSteps ? walk_.steps() : a.team.keptSteps),
        shifts_(dynamicShared<C>(team.layout().coefficients)),
        affines_(dynamicShared<Affine<C>>(team.layout().coefficients)),
        moments_(dynamicShared<PreciseMoments>(team.layout().channels)),
        scalings_(dynamicShared<Scaling>(team.layout().channels + a.team.channels * static_cast<uint32_t>(sizeof(PreciseMoments)))) {
    static_assert(sizeof(PreciseMoments) + sizeof(Scaling) <= kChannelBytes, "they have their place");
  }

  DEVICE void run() {
    // Before the copies: behind them it would come last.
    Beginning own = {};
    if (threadIndex() < walk_.channels()) own = beginningOf(threadIndex());
    bringSteps(keptSteps_, [&](uint32_t step) { kept_.begin(step, walk_.slot(step)); });
    prepare(own);
    measure();
    finish();
    if (a_.tensors.output == nullptr) return;
    Affine<C> affine[Walk::kParts];
    UNROLL
    for (int p = 0; p < Walk::kParts; ++p) affine[p] = affines_.load(walk_.channelOf(p));
    // What was read last may still be in the cache.
    write(keptSteps_, walk_.steps(), affine, [&](uint32_t /*step*/, const Slot& slot) { return kept_.loadAgain(slot); });
    write(0, keptSteps_, affine, [&](uint32_t step, const Slot& slot) { return kept_.load(step, slot); });
  }

 private:
  // What is known of a channel before it is measured.
  struct Beginning {
    S samples[kSamples];  // some of the chunk's values
    Given given;
  };

  DEVICE Beginning beginningOf(uint32_t channel) const {
    const auto* const input = static_cast<const S*>(a_.tensors.input);
    const uint32_t count = walk_.count(channel);
    Beginning beginning;
    UNROLL
    for (uint32_t i = 0; i < kSamples; ++i) {
      const auto place = static_cast<uint32_t>(uint64_t{i} * count / kSamples);
      beginning.samples[i] = loadParameter(input + walk_.offset(channel, place));
    }
    beginning.given = readGiven(a_.results.parameters, walk_.firstChannel() + channel);
    return beginning;
  }

  // The mean of the samples, the least and the greatest left out, so that a single outlier says nothing.
  static DEVICE C shiftOf(const S (&samples)[kSamples]) {
    C sum = 0, least = widen(samples[0]), greatest = least;
    UNROLL
    for (uint32_t i = 0; i < kSamples; ++i) {
      const C value = widen(samples[i]);
      sum += value;
      least = value < least ? value : least;
      greatest = value > greatest ? value : greatest;
    }
    return (sum - least - greatest) / (kSamples - 2);
  }

  // `own`: of the first channel that is this thread's share.
  DEVICE void prepare(const Beginning& own) {
    forChannels(walk_, [&](uint32_t c) {
      const Beginning beginning = c == threadIndex() ? own : beginningOf(c);
      shifts_.store(c, shiftOf(beginning.samples));
      const bool inDouble = a_.results.parameters.inDouble;
      scalings_.store(c, {beginning.given.weight.value(inDouble), beginning.given.bias.value(inDouble)});
    });
    syncBlock();
  }

  // The block's moments, and then the team's. Where too much cancelled, the sums are taken again about the mean they gave.
  DEVICE void measure() {
    const SharedArray<Moments<C>> values = team_.template values<Moments<C>>();
    const SharedArray<Pair<C>> scratch = dynamicShared<Pair<C>>(team_.layout().scratch);
    for (bool again = false;; again = true) {
      bool cancelledAny = false;
      const auto store = [&](uint32_t c, const Pair<C>& sums) {
        const auto count = static_cast<C>(walk_.count(c));
        const Moments<C> moments = momentsFromSums(count, shifts_.load(c), sums.first, sums.second);
        values.store(c, moments);
        if (again || !cancelled(count, sums.first, sums.second)) return;
        cancelledAny = true;
        shifts_.store(c, moments.mean);
      };
      const auto sums = sumsAboutShifts();
      addThreads(walk_, sums.total, AddPairs(), scratch, store);
      if (!anyInBlock(cancelledAny)) break;
    }
    const SharedArray<Moments<C>> totals = team_.template total<Moments<C>>(walk_.channels(), AddMoments());
    forChannels(walk_, [&](uint32_t c) { moments_.store(c, inDouble(totals.load(c))); });
  }

  DEVICE Sums sumsAboutShifts() const {
    C shift[Walk::kParts];
    UNROLL
    for (int p = 0; p < Walk::kParts; ++p) shift[p] = shifts_.load(walk_.channelOf(p));
    Sums sums;
    const auto add = [&](const Slot& slot, const Pack<S, V>& pack) {
      if (!slot.some()) return;
      C values[V];
      widenAll(pack, values);
      UNROLL
      for (int e = 0; e < V; ++e) {
        if (!slot.has(e)) continue;
        const C distance = values[e] - ofElement(walk_, shift, e);
        sums.add(e, distance, distance);
      }
    };
    forOthers(add, [&] { sums.settle(walk_); });
    forBroughtSteps(keptSteps_, [&](uint32_t begin, uint32_t end) {
      for (uint32_t step = begin; step < end; ++step) {
        const Slot slot = walk_.slot(step);
        add(slot, kept_.load(step, slot));
      }
      sums.settle(walk_);
    });
    return sums;
  }

  // Calls use(slot, pack) for the steps that are not kept, and now and then settle().
  template <class Use, class Settle>
  DEVICE void forOthers(const Use& use, const Settle& settle) const {
    const uint32_t end = walk_.steps();
    uint32_t batches = 0;
    for (uint32_t step = keptSteps_; step < end; step += kReadBatch) {
      Slot slots[kReadBatch];
      Pack<S, V> packs[kReadBatch];
      UNROLL
      for (uint32_t b = 0; b < kReadBatch; ++b) {
        slots[b] = step + b < end ? walk_.slot(step + b) : Slot{};
        packs[b] = kept_.loadAgain(slots[b]);
      }
      UNROLL
      for (uint32_t b = 0; b < kReadBatch; ++b) use(slots[b], packs[b]);
      if (++batches % kSettleAfter == 0) settle();
    }
  }

  // The coefficients of the transform, and what is saved.
  DEVICE void finish() {
    bool imprecise = false;
    forChannels(walk_, [&](uint32_t c) { imprecise = imprecise || needsPrecise(moments_.load(c), a_.results); });
    if (anyInBlock(imprecise)) measurePrecisely();
    forChannels(walk_, [&](uint32_t c) {
      const Scaling scaling = scalings_.load(c);
      affines_.store(c, trainingAffine<C>(a_.results, moments_.load(c), scaling.weight, scaling.bias));
    });
    syncBlock();
    team_.leave();
    if (team_.leads()) {
      forChannels(walk_, [&](uint32_t c) { saveStatistics(a_.results, walk_.firstChannel() + c, moments_.load(c)); });
    }
  }

  // All blocks of the team come here, or none: they have the same moments. Only those that are of no use are replaced.
  DEVICE void measurePrecisely() {
    const auto* const input = static_cast<const S*>(a_.tensors.input);
    const auto replace = [&](const auto& change) {
      const SharedArray<double> totals = team_.template total<double>(walk_.channels(), Add());
      forChannels(walk_, [&](uint32_t c) {
        PreciseMoments moments = moments_.load(c);
        if (!needsPrecise(moments, a_.results)) return;
        change(moments, totals.load(c));
        moments_.store(c, moments);
      });
      syncBlock();
    };
    addPrecisely(input, [](double value, double /*mean*/) { return value; });
    const double values = a_.results.valuesPerChannel;
    replace([values](PreciseMoments& moments, double sum) { moments = {sum / values, static_cast<double>(NAN)}; });
    addPrecisely(input, [](double value, double mean) { return (value - mean) * (value - mean); });
    replace([](PreciseMoments& moments, double squares) { moments.m2 = squares; });
  }

  // The block's sums of term(value, mean) in double, as its values for the team.
  template <class Term>
  DEVICE void addPrecisely(const S* input, const Term& term) {
    const SharedArray<double> values = team_.template values<double>();
    double means[Walk::kParts], sums[Walk::kParts] = {};
    UNROLL
    for (int p = 0; p < Walk::kParts; ++p) means[p] = moments_.load(walk_.channelOf(p)).mean;
    for (uint32_t step = 0; step < walk_.steps(); ++step) {
      const Slot slot = walk_.slot(step);
      const Pack<S, V> pack = loadSlot<S, V>(input, slot);
      UNROLL
      for (int p = 0; p < Walk::kParts; ++p) {
        UNROLL
        for (int e = 0; e < V; ++e) {
          if (slot.has(e) && walk_.part(e) == p) sums[p] += term(static_cast<double>(widen(pack.get(e))), means[p]);
        }
      }
    }
    addThreads(walk_, sums, Add(), dynamicShared<double>(team_.layout().scratch),
               [&](uint32_t c, double total) { values.store(c, total); });
  }

  // From the last step to the first. Whole warps go on together, for the sake of the mask.
  template <class Load>
  DEVICE void write(uint32_t begin, uint32_t end, const Affine<C> (&affine)[Walk::kParts], const Load& load) {
    for (; end > begin; end = end - begin > kWriteBatch ? end - kWriteBatch : begin) {
      Slot slots[kWriteBatch];
      Pack<S, V> input[kWriteBatch], residual[kWriteBatch];
      UNROLL
      for (uint32_t b = 0; b < kWriteBatch; ++b) {
        const bool inside = b < end - begin;
        slots[b] = inside ? walk_.slot(end - 1 - b) : Slot{};
        input[b] = inside ? load(end - 1 - b, slots[b]) : Pack<S, V>{};
        residual[b] = loadOptional<S, V>(a_.tensors.residual, slots[b]);
      }
      UNROLL
      for (uint32_t b = 0; b < kWriteBatch; ++b) {
        uint32_t bits = 0;
        const auto output = forwardPack<kind>(
            a_.tensors, input[b], residual[b], [&](int e) { return ofElement(walk_, affine, e); }, bits);
        storeSlot(static_cast<S*>(a_.tensors.output), slots[b], output);
        if (a_.tensors.mask != nullptr) storeMask<V>(a_.tensors.mask, slots[b], bits);
      }
    }
  }

  const Arguments& a_;
  Team<C>& team_;
  const Walk walk_;
  const Kept<S, V> kept_;
  const uint32_t keptSteps_;
  const SharedArray<C> shifts_;
  const SharedArray<Affine<C>> affines_;
  const SharedArray<PreciseMoments> moments_;
  const SharedArray<Scaling> scalings_;
};

}  // namespace cuda_batchnorm::cuda
