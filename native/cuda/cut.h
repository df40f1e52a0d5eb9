// How a problem is cut: for each way of walking over it, the chunks of a team of so many blocks. Pure host code: no CUDA here.
#pragma once

#include <cstdint>

#include "../core/problem.h"
#include "kernels/arguments.h"

namespace cuda_batchnorm::cuda {

enum class Way { Runs, Planes, Columns };

// Of values that share a byte of the mask.
constexpr int64_t kMaskBits = 8;

// A problem cut for a block of so many threads; only the cut of its way is filled.
struct Cut {
  Way way = Way::Runs;
  bool wide = true;      // 16-byte accesses; else an element at a time
  uint32_t threads = 0;  // of a block; none where it cannot be cut so
  int64_t accessElements = 1;
  bool whole = true;  // no access is filled in part
  uint32_t pieces = 1;
  uint32_t blocks = 1;         // of a team
  uint32_t channels = 1;       // of a piece, at most
  uint32_t scratchValues = 1;  // TeamCut
  uint32_t steps = 1;          // of a thread through the largest chunk
  uint32_t stepThreads = 1;    // that have an access at each
  int64_t places = 1;          // accesses of the largest chunk
  RunsCut runs;
  PlanesCut planes;
  ColumnsCut columns;

  // Elements that lie beyond the first `steps` steps of all chunks.
  int64_t beyond(uint32_t steps) const;
  // As the kernels are told it; who is in the team, and what it keeps, is left open.
  TeamCut team() const;
};

// Elements of one access.
int64_t accessWidth(const Problem& problem, bool wide);

// The way that suits the problem, for tensors at addresses that 16-byte accesses can use, or not.
Way wayOf(const Problem& problem, bool wide, bool mask);
// Whether that way can write the mask: elements that share a byte stay together.
bool canWriteMask(const Problem& problem, bool wide);
// Channels last: whether rows, or some of them together, are whole accesses.
bool rowsAreWide(const Problem& problem);

// Cuts for a team of about `blocks` blocks of `threads` threads. `tile`: accesses of a tile of columns beside each other, about. No threads
// where it cannot be.
Cut cutProblem(const Problem& problem, Way way, bool wide, bool mask, int64_t blocks, uint32_t threads, uint32_t tile);
// In the order of memory.
InOrderCut cutInOrder(const Problem& problem, bool wide, uint32_t affineBytes);

}  // namespace cuda_batchnorm::cuda
