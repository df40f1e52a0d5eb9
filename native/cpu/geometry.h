// The tasks of a plan, and where in the tensor each of them works.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../core/problem.h"
#include "kernels/kernels.h"
#include "plan.h"

namespace cuda_batchnorm::cpu {

struct Task {
  int64_t tile, chunk;
};

class Geometry {
 public:
  Geometry(const Problem& problem, const Plan& plan) : problem_(problem), plan_(plan) {}

  int64_t tasks() const { return plan_.tiles * plan_.chunks; }
  // Neighbouring columns of the same rows come one after the other, as in memory.
  Task task(int64_t i) const { return {i % plan_.tiles, i / plan_.tiles}; }

  int64_t firstChannel(int64_t tile) const { return tile * plan_.channelsPerTile; }
  int64_t endChannel(int64_t tile) const { return std::min(firstChannel(tile) + plan_.channelsPerTile, problem_.channels); }

  Tile tile(const Task& task) const {
    const int64_t first = firstChannel(task.tile);
    const int64_t part = task.chunk % plan_.partsPerRun;
    const int64_t offset = firstRow(task.chunk) * stride() + first * problem_.inner + part * plan_.partLength;
    return {offset, stride(), rows(task.chunk), length(part), endChannel(task.tile) - first};
  }

  // Values of one channel in a chunk.
  int64_t valuesInChunk(int64_t chunk) const { return rows(chunk) * length(chunk % plan_.partsPerRun); }

 private:
  int64_t stride() const { return problem_.channels * problem_.inner; }
  int64_t firstRow(int64_t chunk) const { return chunk / plan_.partsPerRun * plan_.rowsPerChunk; }
  int64_t rows(int64_t chunk) const { return std::min(plan_.rowsPerChunk, problem_.outer - firstRow(chunk)); }
  int64_t length(int64_t part) const { return std::min(plan_.partLength, problem_.inner - part * plan_.partLength); }

  const Problem& problem_;
  const Plan& plan_;
};

}  // namespace cuda_batchnorm::cpu
