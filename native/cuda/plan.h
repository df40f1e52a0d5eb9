// From a problem and a device to the kernels that compute it: which, how the problem is cut among blocks, and how many bytes they move.
// Pure host code: no CUDA here.
#pragma once

#include <array>
#include <cstdint>

#include "../core/backend.h"
#include "kernels/arguments.h"
#include "properties.h"

namespace cuda_batchnorm::cuda {

// What a plan depends on, but for the device.
struct Request : Outline {
  bool wide = true;  // all tensors at addresses that 16-byte accesses can use

  // In backward: whether sums over channels are asked for, and whether the last pass reads the input.
  bool needsSums() const { return !constantStatistics || gradWeight || gradBias; }
  bool needsInput() const;
};

enum class Kernel {
  Coefficients,   // of given statistics
  MomentsOfRuns,  // training forward, first pass
  MomentsOfColumns,
  TransformInOrder,  // forward, last pass
  TransformColumns,
  ResidentForward,     // both in one
  GradientSumsOfRuns,  // backward, first pass
  GradientSumsOfColumns,
  GradientInOrder,  // backward, last pass
  GradientOfColumns,
  ResidentBackward,  // both in one
};

const char* name(Kernel kernel);

// One launch. Bytes are those that kernels move to and from global memory, but for coefficients and parameters of channels that they
// read, which the caches serve.
struct Step {
  Kernel kernel = Kernel::Coefficients;
  bool wide = true;  // 16-byte accesses; else an element at a time
  LaunchShape shape;
  int64_t bytesRead = 0;
  int64_t bytesWritten = 0;
};

struct Plan {
  std::array<Step, 3> steps;
  int count = 0;
  // How the problem is cut, for those kernels that are in the steps.
  RunsCut runs;
  ColumnsCut columns;
  InOrderCut inOrder;
  bool coefficients = false;  // kept between the steps: one row per kind, of channels each
  int64_t partials = 0;       // results of chunks to be merged: chunks * channels, or 0
};

Plan plan(const Request& request, const DeviceProperties& device);

}  // namespace cuda_batchnorm::cuda
