// From a problem and a device to the kernels that compute it: which, how the problem is cut among blocks, and how many bytes they move.
// Pure host code: no CUDA here.
#pragma once

#include <array>
#include <cstdint>

#include "../core/problem.h"
#include "kernels/arguments.h"
#include "properties.h"

namespace cuda_batchnorm::cuda {

// How a kernel is launched.
struct LaunchShape {
  uint32_t grid = 1;         // blocks
  uint32_t block = 1;        // threads
  uint32_t sharedBytes = 0;  // dynamic
  uint32_t cluster = 1;      // blocks that share their shared memory
  bool cooperative = false;  // all blocks run at once
};

enum class Operation { TrainingForward, InferenceForward, Backward };

// What a plan depends on, but for the device. The flags say what is there.
struct Request {
  Operation operation = Operation::TrainingForward;
  Problem problem;
  bool residual = false, mask = false, weight = false, bias = false;
  bool running = false;                                                  // training forward
  bool constantStatistics = false;                                       // backward
  bool gradWeight = false, gradBias = false, gradResidual = false;       // backward
  bool wide = true;  // all tensors at addresses that 16-byte accesses can use

  bool needsSums() const { return !constantStatistics || gradWeight || gradBias; }
};

enum class Kernel {
  Coefficients,          // of given statistics
  MomentsOfRuns,         // training forward, first pass
  MomentsOfColumns,
  TransformInOrder,      // forward, last pass
  TransformColumns,
  ResidentForward,       // both in one
  GradientSumsOfRuns,    // backward, first pass
  GradientSumsOfColumns,
  GradientInOrder,       // backward, last pass
  GradientOfColumns,
  ResidentBackward,      // both in one
};

const char* name(Kernel kernel);

// One launch. Bytes are those that kernels move to and from global memory, but for coefficients and parameters of channels that they
// read, which the caches serve.
struct Step {
  Kernel kernel = Kernel::Coefficients;
  LaunchShape shape;
  int64_t bytesRead = 0;
  int64_t bytesWritten = 0;
};

struct Plan {
  bool wide = true;
  std::array<Step, 3> steps;
  int count = 0;
  // How the problem is cut, for those kernels that are in the steps.
  RunsCut runs;
  ColumnsCut columns;
  FlatCut flat;
  int64_t partials = 0;  // results of chunks to be merged: chunks * channels, or 0
};

Plan plan(const Request& request, const DeviceProperties& device);

}  // namespace cuda_batchnorm::cuda
