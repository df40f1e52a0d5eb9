// The cuts of a problem among teams of blocks that a device can run, and the time that each is predicted to take.
#pragma once

#include <functional>

#include "cut.h"
#include "properties.h"
#include "tuning.h"

namespace cuda_batchnorm::cuda {

// What a kernel of teams does, as far as its time depends on it.
struct TeamWork {
  Way way = Way::Runs;
  bool wide = true;
  bool mask = false;
  uint32_t keptTensors = 1;  // that are worth keeping
  int64_t bytesRead = 0;     // in any case
  int64_t bytesWritten = 0;
  int64_t bytesPerReread = 0;  // for each element that is not kept
  uint32_t bytesTold = 16;     // for each channel of the piece, by each block to the others of its team
  uint32_t compute = 4;        // bytes of a value in arithmetic
  uint32_t readInFlight = 64;  // bytes that a thread has asked for at a time, of what it does not keep
};

struct Candidate {
  Cut cut;
  TeamCut team;
  uint32_t sharedBytes = 0;
  uint32_t blocksPerProcessor = 1;
  double seconds = 0;  // predicted
};

// Calls consider(candidate) for each of them; there is always one. `keptPercent` of what there is room for is kept.
void forEachCandidate(const Problem& problem, const TeamWork& work, const DeviceProperties& device, const Tuning& tuning,
                      uint32_t keptPercent, const std::function<void(const Candidate&)>& consider);

}  // namespace cuda_batchnorm::cuda
