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
constexpr int64_t kNarrowTile = 256;           // columns below which rows are read in pieces too short
constexpr int64_t kLongSegment = 24 << 10;     // contiguous bytes from which jumps between them cost little
constexpr int64_t kThirdLevel = 64 << 20;      // bytes of a tensor that third-level caches may keep in good part

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

// Cuts tiles along the values of a channel so that a chunk is at most kChunkBytes, and threads get as many each where they can.
void cutChunks(Plan& plan, const Problem& p) {
  const int64_t length = plan.columns ? p.outer : p.valuesPerChannel();
  const int64_t width = plan.columns ? plan.channelsPerTile * p.inner : 1;
  const int64_t fewest = ceilDiv(length * width * static_cast<int64_t>(sizeOf(p.dtype)), kChunkBytes);
  const int64_t wanted = fewest < kEnoughTasks ? fewest : ceilDiv(fewest, kEnoughTasks) * kEnoughTasks;
  plan.chunkLength = ceilDiv(length, wanted);
  plan.chunks = ceilDiv(length, plan.chunkLength);
}

// A tile of rows that stays in cache: neighbouring channels until they are some work, and contiguous enough.
void cutResidentRows(Plan& plan, const Problem& p, int64_t runBytes, int64_t channelBytes, int64_t most) {
  const int64_t some = std::max(kSmallProblem / channelBytes, ceilDiv(kLongSegment, runBytes));
  cutChannels(plan, p, std::clamp<int64_t>(some, 1, most));
  plan.chunkLength = p.valuesPerChannel();
}

// Tiles of a few channels of one sample, or of all channels of a few samples, which follow one another as in memory: a tensor that comes
// from the third-level cache is read sooner twice in this order than once in another.
void cutStream(Plan& plan, const Problem& p, int64_t runBytes) {
  cutChannels(plan, p, std::max<int64_t>(1, kChunkBytes / runBytes));
  const int64_t samples = std::max<int64_t>(1, kChunkBytes / (plan.channelsPerTile * runBytes));
  plan.chunkLength = p.inner * samples;
  plan.chunks = ceilDiv(p.outer, samples);
}

// What decides about a reduction's plan.
struct Needs {
  int64_t runBytes, channelBytes, tensorBytes, tensorsRead;

  bool small() const { return tensorBytes <= kSmallProblem; }
  int64_t fitting() const { return kResidentBytes / channelBytes; }  // channels in a resident tile
  // Channels of a tile when there are just enough tiles.
  int64_t shared(const Problem& p) const { return small() ? p.channels : ceilDiv(p.channels, kEnoughTasks); }
};

Plan planColumns(const Problem& p, const Needs& needs) {
  Plan plan;
  plan.columns = true;
  plan.chunkLength = p.outer;
  const int64_t narrowest = ceilDiv(std::min(kNarrowTile, p.channels * p.inner), p.inner);
  const int64_t wanted = columnChannels(p, std::min(needs.fitting(), std::max(needs.shared(p), narrowest)));
  plan.resident = needs.fitting() >= narrowest && (needs.small() || ceilDiv(p.channels, wanted) >= kEnoughTasks / 2);
  cutChannels(plan, p, plan.resident ? wanted : columnChannels(p, p.channels));
  if (!plan.resident) cutChunks(plan, p);
  return plan;
}

Plan planRows(const Problem& p, const Needs& needs) {
  Plan plan;
  const bool scattered = p.outer > 1 && needs.runBytes < kLongSegment && needs.channelBytes > kSmallProblem;
  const bool fits = needs.fitting() >= 1 && (needs.small() || p.channels >= kEnoughTasks / 2);
  // Two streams that jump are too much for prefetchers, unless their second reading comes from the second-level cache.
  const bool rereadsCheaply = needs.tensorsRead > 1 && needs.fitting() >= needs.tensorsRead;
  const bool streams = scattered && needs.tensorBytes <= kThirdLevel && !rereadsCheaply;
  plan.resident = fits && !streams;
  if (plan.resident) {
    cutResidentRows(plan, p, needs.runBytes, needs.channelBytes, std::min(2 * needs.fitting(), needs.shared(p)));
  } else if (streams) {
    cutStream(plan, p, needs.runBytes);
  } else {
    cutChannels(plan, p, 1);
    cutChunks(plan, p);
  }
  return plan;
}

}  // namespace

Plan planReduction(const Problem& p, int64_t tensorsRead) {
  const auto elementBytes = static_cast<int64_t>(sizeOf(p.dtype));
  Needs needs;
  needs.runBytes = p.inner * elementBytes;
  needs.channelBytes = p.valuesPerChannel() * elementBytes;
  needs.tensorBytes = p.size() * elementBytes;
  needs.tensorsRead = tensorsRead;
  return usesColumns(p) ? planColumns(p, needs) : planRows(p, needs);
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
