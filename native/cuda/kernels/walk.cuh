// What the ways of walking over a chunk have in common. A walk takes steps; at each, a thread has a slot, whose elements belong to few
// parts: the channels that this thread ever meets. Which they are is fixed, so what is known of them stays in registers.
//
//   threads()                     that may have a slot: the first ones
//   steps()                       of every thread
//   Slot slot(step)               empty where the thread has nothing
//   part(element) -> part         of the slot's elements
//   channelOf(part) -> channel    counted from firstChannel() of the piece, which has channels()
//   count(channel), offset(channel, i)   the chunk's values, fewer than 2^31, and where the i-th of them lies
//   deposit(parts, add, scratch)  leaves what the threads have; after a barrier depositOf(channel, i) gives it, i < deposits()
#pragma once

#include "team.cuh"

namespace cuda_batchnorm::cuda {

DEVICE int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

// What belongs to the slot's element e. Never an index that is not known when this is compiled: registers have none.
template <class Walk, class T, int parts>
DEVICE T ofElement(const Walk& walk, const T (&values)[parts], int e) {
  if (parts == 1) return values[0];
  if (parts == 2) return walk.part(e) == 0 ? values[0] : values[parts - 1];
  return values[e];
}

// What a thread adds up of each part: values, and their products with other values. In lanes that are settled after few of them, for short
// sums lose little.
template <class C, int V, int parts>
struct LaneSums {
  C values[V] = {}, products[V] = {};
  Pair<C> total[parts] = {};

  DEVICE void add(int e, C value, C factor) {
    values[e] += value;
    products[e] = multiplyAdd(value, factor, products[e]);
  }

  template <class Walk>
  DEVICE void settle(const Walk& walk) {
    UNROLL
    for (int p = 0; p < parts; ++p) {
      UNROLL
      for (int e = 0; e < V; ++e) {
        if (walk.part(e) == p) total[p] = AddPairs()(total[p], Pair<C>{values[e], products[e]});
      }
    }
    UNROLL
    for (int e = 0; e < V; ++e) values[e] = products[e] = C{0};
  }
};

// Adds up what the threads of the block have of each channel: store(channel, total). A barrier comes first.
template <class T, class Walk, class Add, class Store>
DEVICE void addThreads(const Walk& walk, const T (&parts)[Walk::kParts], Add add, SharedArray<T> scratch, const Store& store) {
  walk.deposit(parts, add, scratch);
  syncBlock();
  addUp<T>(
      walk.channels(), walk.deposits(), 1, [&](uint32_t c, uint32_t i) { return walk.depositOf(c, i, scratch); }, add, store);
}

// Calls body(channel) for this thread's share of the piece's channels.
template <class Walk, class Body>
DEVICE void forChannels(const Walk& walk, const Body& body) {
  for (uint32_t c = threadIndex(); c < walk.channels(); c += blockThreads()) body(c);
}

// Runs an operation on each piece of this block's team.
template <class Operation, class C, class Arguments>
DEVICE void forPieces(const Arguments& a) {
  Team<C> team(a.team, a.exchange);
  for (uint32_t piece = team.number(); piece < a.team.pieces; piece += a.team.teams) {
    if (piece != team.number()) syncBlock();  // whoever still reads the last piece's coefficients
    Operation(a, team, piece).run();
  }
  team.disband();
}

}  // namespace cuda_batchnorm::cuda
