#include "plan.h"

#include <algorithm>
#include <numeric>

#include "kernels/kernels.h"

namespace cuda_batchnorm::cpu {

namespace {

// Sizes chosen by measurement on machines with 1 MiB of second-level cache per core; half of it still works with 512 KiB.
constexpr int64_t kResidentBytes = 512 << 10;  // a tile of one tensor that should stay in cache until it is read again
constexpr int64_t kChunkBytes = 256 << 10;     // work of one task when tiles are cut into chunks
constexpr int64_t kEnoughTasks = 8;            // to keep some threads busy
constexpr int64_t kSmallProblem = 64 << 10;    // bytes below which one task is as good as many
constexpr int64_t kLongRun = 257;              // inner dimension from which a run alone fills vectors and prefetchers
constexpr int64_t kShortRun = 16;              // below it columns always win
constexpr int64_t kFewRows = 8;                // too few rows to make columns of a middling inner dimension worthwhile
constexpr int64_t kLineValues = 16;            // float32 values in a cache line
constexpr int64_t kNarrowTile = 256;           // columns below which rows are read in pieces too short

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

bool usesColumns(const Problem& p) { return p.inner < kShortRun || (p.inner < kLongRun && p.outer >= kFewRows); }

// Channels a column tile may have at most, in steps that keep its borders on cache lines.
int64_t columnChannels(const Problem& p, int64_t limit) {
  const int64_t most = std::max<int64_t>(1, std::min(limit, kMaxTileColumns / p.inner));
  const int64_t step = kLineValues / std::gcd(kLineValues, p.inner);
  return most > step ? most / step * step : most;
}

void cutChannels(Plan& plan, const Problem& p, int64_t channelsPerTile) {
  plan.channelsPerTile = std::min(channelsPerTile, p.channels);
  plan.tiles = ceilDiv(p.channels, plan.channelsPerTile);
}

// Cuts tiles along the values of a channel so that a chunk is about kChunkBytes.
void cutChunks(Plan& plan, const Problem& p) {
  const int64_t length = plan.columns ? p.outer : p.valuesPerChannel();
  const int64_t width = plan.columns ? plan.channelsPerTile * p.inner : 1;
  const int64_t wanted = std::max<int64_t>(1, length * width * static_cast<int64_t>(sizeOf(p.dtype)) / kChunkBytes);
  plan.chunkLength = ceilDiv(length, wanted);
  plan.chunks = ceilDiv(length, plan.chunkLength);
}

}  // namespace

Plan planReduction(const Problem& p) {
  Plan plan;
  plan.columns = usesColumns(p);
  const auto elementBytes = static_cast<int64_t>(sizeOf(p.dtype));
  const int64_t channelBytes = p.valuesPerChannel() * elementBytes;
  const bool small = p.size() * elementBytes <= kSmallProblem;
  const int64_t fitting = kResidentBytes / channelBytes;  // channels in a resident tile
  const int64_t shared = small ? p.channels : ceilDiv(p.channels, kEnoughTasks);

  if (plan.columns) {
    const int64_t narrowest = ceilDiv(std::min(kNarrowTile, p.channels * p.inner), p.inner);
    const int64_t wanted = columnChannels(p, std::min(fitting, std::max(shared, narrowest)));
    plan.resident = fitting >= narrowest && (small || ceilDiv(p.channels, wanted) >= kEnoughTasks / 2);
    cutChannels(plan, p, plan.resident ? wanted : columnChannels(p, p.channels));
  } else {
    plan.resident = fitting >= 1 && (small || p.channels >= kEnoughTasks / 2);
    const int64_t together = std::max<int64_t>(1, kSmallProblem / channelBytes);
    cutChannels(plan, p, plan.resident ? std::min(together, shared) : 1);
  }
  plan.chunkLength = plan.columns ? p.outer : p.valuesPerChannel();
  if (!plan.resident) cutChunks(plan, p);
  return plan;
}

Plan planElementwise(const Problem& p) {
  Plan plan;
  plan.columns = usesColumns(p);
  if (plan.columns) {
    cutChannels(plan, p, columnChannels(p, p.channels));
    cutChunks(plan, p);
  } else {
    plan.chunkLength = kChunkBytes / static_cast<int64_t>(sizeOf(p.dtype));
    plan.chunks = ceilDiv(p.size(), plan.chunkLength);
  }
  return plan;
}

}  // namespace cuda_batchnorm::cpu
