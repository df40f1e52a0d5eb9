// How threads add up what they have: those of a block, and the blocks of a team. Always in the same order, whoever comes first.
#pragma once

#include "moments.cuh"
#include "partials.cuh"

namespace cuda_batchnorm::cuda {

// The sum of load(first), load(first + step) and so on, below `end`. Several loads are under way at once, for each may have a long way.
template <class T, class Load, class Add>
DEVICE T addEvery(uint32_t first, uint32_t step, uint32_t end, const Load& load, Add add) {
  constexpr uint32_t kLoads = sizeof(T) <= 16 ? 8 : 4;
  T total = {};
  for (; first < end; first += kLoads * step) {
    T values[kLoads];
    UNROLL
    for (uint32_t k = 0; k < kLoads; ++k) values[k] = first + k * step < end ? load(first + k * step) : T{};
    UNROLL
    for (uint32_t k = 0; k < kLoads; ++k) total = add(total, values[k]);
  }
  return total;
}

// Adds up `contributors` values for each of `count` entries: load(entry, i) gives the i-th, and store(entry, total) is called once, by one
// thread. All threads of the block take part; neighbouring ones have neighbouring entries, at least so many as are to be loaded `beside`
// each other.
template <class T, class Load, class Add, class Store>
DEVICE void addUp(uint32_t count, uint32_t contributors, uint32_t beside, const Load& load, Add add, const Store& store) {
  const uint32_t atLeast = count < beside ? count : beside;
  uint32_t shift = 0;  // 2^shift lanes share an entry
  while (atLeast << (shift + 1) <= kWarpThreads && 1u << shift < contributors && count << (shift + 1) <= blockThreads()) ++shift;
  const uint32_t lanes = 1u << shift;
  const uint32_t entries = kWarpThreads >> shift;  // of a warp
  const uint32_t lane = laneIndex() >> (kWarpBits - shift);
  // Whole warps go on together.
  for (uint32_t first = warpIndex() * entries; first < count; first += blockThreads() >> shift) {
    const uint32_t entry = first + (laneIndex() & (entries - 1));
    T total = {};
    if (entry < count)
      total = addEvery<T>(
          lane, lanes, contributors, [&](uint32_t i) { return load(entry, i); }, add);
    for (uint32_t step = entries; step < kWarpThreads; step *= 2) {
      const T other = shuffleXor(total, step);
      total = (laneIndex() & step) != 0 ? add(other, total) : add(total, other);
    }
    if (entry < count && lane == 0) store(entry, total);
  }
}

// Entries that make up what memory moves at least.
template <class T>
constexpr uint32_t kBeside = sizeof(T) < 32 ? 32 / sizeof(T) : 1;

template <class C>
class Team {
 public:
  DEVICE Team(const TeamCut& cut, const Exchange& exchange)
      : cut_(cut), exchange_(exchange), layout_(cut, sizeof(C)), number_(blockIndex() / cut.blocks), rank_(blockIndex() % cut.blocks) {}

  DEVICE uint32_t number() const { return number_; }
  DEVICE uint32_t rank() const { return rank_; }
  DEVICE bool leads() const { return rank_ == 0; }
  DEVICE const SharedLayout& layout() const { return layout_; }

  // Where the block leaves its next values, one for each channel of the piece.
  template <class T>
  DEVICE SharedArray<T> values() const {
    static_assert(sizeof(T) <= 4 * sizeof(C), "it has its place");
    return dynamicShared<T>(place());
  }

  // The sums of all blocks' values, for all threads of all blocks, until the next call. A barrier of the block, and between blocks.
  template <class T, class Add>
  DEVICE SharedArray<T> total(uint32_t channels, Add add) {
    const SharedArray<T> own = values<T>();
    const SharedArray<T> totals = dynamicShared<T>(layout_.total);
    const auto store = [&](uint32_t channel, const T& total) { totals.store(channel, total); };
    if (cut_.kind == TeamKind::Grid) {
      T* const partials = partialsOf<T>();
      syncBlock();
      for (uint32_t c = threadIndex(); c < channels; c += blockThreads()) storePartial(partials + rank_ * cut_.channels + c, own.load(c));
      meet();
      addUp<T>(
          channels, cut_.blocks, kBeside<T>, [&](uint32_t c, uint32_t rank) { return loadPartial(partials + rank * cut_.channels + c); },
          add, store);
    } else {
      addBlocks<T>(channels, own, add, store);
    }
    ++rounds_;
    syncBlock();
    return totals;
  }

  // After the last total() of the last piece: nobody has to wait for what the block does from then on.
  DEVICE void leave() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    if (cut_.kind == TeamKind::Cluster) leaveCluster();
#endif
  }

  // The last thing a block does, when it has left: until then others may read what it has.
  DEVICE void disband() {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    if (cut_.kind == TeamKind::Cluster) awaitLeavers();
#endif
    if (cut_.kind != TeamKind::Grid || threadIndex() > 0) return;
    if (arriveAt(counter()) == cut_.blocks * (meetings_ + 1) - 1) storeGlobal(counter(), 0u);
  }

 private:
  // Values are written to two places in turns, so that nobody waits for those who still read the last ones.
  DEVICE uint32_t place() const { return layout_.values + rounds_ % 2 * (layout_.total - layout_.values) / 2; }
  DEVICE uint32_t* counter() const { return exchange_.counters + number_; }

  template <class T>
  DEVICE T* partialsOf() const {
    const int64_t place = (int64_t{number_} * 2 + rounds_ % 2) * cut_.blocks * cut_.channels;
    return reinterpret_cast<T*>(static_cast<char*>(exchange_.partials) + place * 4 * static_cast<int64_t>(sizeof(C)));
  }

  // Of a cluster, or of the block alone.
  template <class T, class Add, class Store>
  DEVICE void addBlocks(uint32_t channels, const SharedArray<T>& own, Add add, const Store& store) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    if (cut_.kind == TeamKind::Cluster) {
      const uint32_t from = place();
      syncCluster();
      addUp<T>(
          channels, cut_.blocks, 1, [&](uint32_t c, uint32_t rank) { return dynamicSharedOf<T>(rank, from).load(c); }, add, store);
      return;
    }
#endif
    syncBlock();
    for (uint32_t c = threadIndex(); c < channels; c += blockThreads()) store(c, own.load(c));
  }

  // What blocks wrote before is visible to all afterwards.
  DEVICE void meet() {
    syncBlock();
    ++meetings_;
    if (threadIndex() == 0) {
      arriveAt(counter());
      awaitArrivals(counter(), meetings_ * cut_.blocks);
    }
    syncBlock();
  }

  const TeamCut& cut_;
  const Exchange& exchange_;
  const SharedLayout layout_;
  const uint32_t number_, rank_;
  uint32_t rounds_ = 0, meetings_ = 0;
};

}  // namespace cuda_batchnorm::cuda
