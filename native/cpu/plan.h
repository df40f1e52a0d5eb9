// How a problem is cut into tasks. Depends on the problem alone, never on the number of threads, so that the bits do not either.
#pragma once

#include <cstdint>

#include "../core/problem.h"

namespace cuda_batchnorm::cpu {

// Tiles are groups of channels. Each is cut into chunks: of the rows of the [outer, channels * inner] matrix, or of single runs of
// `inner` values where those are long.
struct Plan {
  bool columns = false;  // which family of kernels takes the sums, and which one writes: see kernels/kernels.h
  bool writesColumns = false;
  bool resident = false;      // a tile fits the cache: one task reads it from memory once and does everything
  bool fetchesAhead = false;  // a resident tile's successor is asked for while the tile is written
  bool pastCaches = false;    // what is written goes past the caches, whose room the tensors that are read need
  int64_t channelsPerTile = 1;
  int64_t tiles = 1;
  int64_t rowsPerChunk = 1;
  int64_t partLength = 1;  // values of a run in a chunk: all of them, or less where a chunk is part of one run
  int64_t partsPerRun = 1;
  int64_t chunks = 1;  // per tile; 1 when resident
};

// For operations that need sums over a channel before they can write: of one tensor, or of two read side by side.
Plan planReduction(const Problem& problem, int64_t tensorsRead);

// For operations that write each value from its own inputs.
Plan planElementwise(const Problem& problem);

}  // namespace cuda_batchnorm::cpu
