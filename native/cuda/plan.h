// From a problem and a device to the kernels that compute it: which, how the problem is cut among blocks, and how many bytes they move. Of
// all the ways to cut it the plan takes the one whose predicted time is least. Pure host code: no CUDA here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "../core/backend.h"
#include "cut.h"
#include "properties.h"
#include "tuning.h"

namespace cuda_batchnorm::cuda {

// What a plan depends on, but for the device.
struct Request : Outline {
  bool wide = true;  // all tensors at addresses that 16-byte accesses can use

  // In backward: whether sums over channels are asked for, and whether the input is read.
  bool needsSums() const { return !constantStatistics || gradWeight || gradBias; }
  bool needsInput() const;
};

enum class Kernel {
  ForwardOfRuns,  // training
  ForwardOfPlanes,
  ForwardOfColumns,
  TransformInOrder,  // with given statistics
  TransformColumns,
  BackwardOfRuns,
  BackwardOfPlanes,
  BackwardOfColumns,
};

const char* name(Kernel kernel);
const char* name(TeamKind kind);

// One launch. Bytes are those that kernels move to and from global memory, but for parameters of channels that they read, which the caches
// serve.
struct Step {
  Kernel kernel = Kernel::TransformInOrder;
  bool wide = true;   // 16-byte accesses; else an element at a time
  bool whole = true;  // no access is filled in part
  LaunchShape shape;
  uint32_t blocksPerProcessor = 1;  // at least, at once
  int64_t bytesRead = 0;
  int64_t bytesWritten = 0;
};

struct Plan {
  std::array<Step, 2> steps;
  int count = 0;
  // How the problem is cut, for those kernels that are in the steps.
  Cut cut;
  TeamCut team;
  ColumnsCut columns;
  InOrderCut inOrder;
  int64_t exchanged = 0;     // bytes of memory where blocks of a grid's teams leave each other what they have
  double seconds = 0;        // predicted, of the team's kernel
  std::string alternatives;  // what else was considered, and its predicted time; filled where it is asked for
};

// What is forced upon the plan, for tests and for tuning. What a problem cannot have is not forced upon it.
struct Choice {
  std::optional<TeamKind> kind;
  std::optional<uint32_t> blocks;       // of a team
  std::optional<uint32_t> threads;      // of a block
  std::optional<uint32_t> sharedBytes;  // of a block: with the three above it tells which candidate is meant, whatever the constants are
  std::optional<uint32_t> kept;         // percent of what there would be room for
  bool explain = false;
  std::vector<std::pair<double Tuning::*, double>> constants;  // of the prediction

  // As CUDA_BATCHNORM_PLAN has it: items of team=block|cluster|grid, blocks=N, threads=N, shared=BYTES, kept=PERCENT, explain, and
  // constants of the prediction as latency=7e-7, separated by commas. Throws ErrorCode::InvalidArgument.
  static Choice parse(const std::string& text);

  Tuning tuningFor(const DeviceProperties& device) const;
};

Plan plan(const Request& request, const DeviceProperties& device, const Choice& choice = {});

// In words, on one line.
std::string describe(const Request& request, const Plan& plan);

}  // namespace cuda_batchnorm::cuda
