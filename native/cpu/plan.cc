#include "plan.h"

#include <algorithm>
#include <numeric>

#include "kernels/kernels.h"

namespace cuda_batchnorm::cpu {

namespace {

// Sizes chosen by measurement on machines with 1 MiB of second-level cache per core; half of it still works with 512 KiB.
constexpr int64_t kResidentBytes = 512 << 10;  // a tile of one tensor that should stay in cache until it is read again
constexpr int64_t kChunkBytes = 256 << 10;     // most work of one task when tiles are cut into chunks
constexpr int64_t kEnoughTasks = 8;            // to keep some threads busy
constexpr int64_t kSmallProblem = 64 << 10;    // bytes below which one task is as good as many
constexpr int64_t kLongRun = 128;              // inner dimension from which runs alone fill vectors well
constexpr int64_t kShortRun = 16;              // below it columns always win
constexpr int64_t kWrittenRun = 32;            // the same for writing, where vectors may belong to two runs
constexpr int64_t kFewRows = 8;                // too few rows to make columns of a middling inner dimension worthwhile
constexpr int64_t kManyValues = 1024;          // of a channel in one chunk, before which the work per channel counts
constexpr int64_t kNarrowTile = 256;           // columns below which rows are read in pieces too short
constexpr int64_t kLongSegment = 12 << 10;     // contiguous bytes from which jumps between them cost little
constexpr int64_t kSecondLevel = 4 << 20;      // bytes that second-level caches may keep in good part
constexpr int64_t kThirdLevel = 34 << 20;      // bytes that third-level caches may keep in good part
constexpr int64_t kFarAway = 16 << 20;         // bytes from which it pays to ask for a resident tile ahead of time
constexpr int64_t kReadOnce = 43 << 20;        // bytes from which operations that read nothing twice write past the caches

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t powerOfTwoFrom(int64_t least) {
  int64_t power = 1;
  while (power < least) power *= 2;
  return power;
}

bool usesColumns(const Problem& p) { return p.inner < kShortRun || (p.inner < kLongRun && p.outer >= kFewRows); }

// Only what sums columns has tiles narrow enough to write them.
bool writesColumns(const Problem& p) { return usesColumns(p) && p.inner < kWrittenRun; }

// Channels a column tile may have at most, in steps that keep its borders on cache lines.
int64_t columnChannels(const Problem& p, int64_t limit) {
  const int64_t most = std::max<int64_t>(1, std::min(limit, kMaxTileColumns / p.inner));
  const int64_t step = kLineValues / std::gcd(kLineValues, p.inner);
  return most > step ? most / step * step : most;
}

void cutChannels(Plan& plan, const Problem& p, int64_t channelsPerTile) {
  plan.channelsPerTile = std::min({channelsPerTile, p.channels, kMaxTileColumns});
  plan.tiles = ceilDiv(p.channels, plan.channelsPerTile);
  plan.rowsPerChunk = p.outer;
  plan.partLength = p.inner;
}

// Cuts tiles along their rows into chunks of kChunkBytes at most, where possible in a number that threads can share evenly.
void cutRows(Plan& plan, const Problem& p, int64_t runBytes, int64_t leastRows = 1) {
  const int64_t fewest = std::min(ceilDiv(p.outer * plan.channelsPerTile * runBytes, kChunkBytes), ceilDiv(p.outer, leastRows));
  const int64_t wanted = fewest > kEnoughTasks ? ceilDiv(fewest, kEnoughTasks) * kEnoughTasks : powerOfTwoFrom(fewest);
  plan.rowsPerChunk = ceilDiv(p.outer, wanted);
  plan.chunks = ceilDiv(p.outer, plan.rowsPerChunk);
}

// Cuts every run into parts that begin on a cache line.
void cutRuns(Plan& plan, const Problem& p, int64_t runBytes) {
  plan.rowsPerChunk = 1;
  plan.partLength = ceilDiv(ceilDiv(p.inner, ceilDiv(runBytes, kChunkBytes)), kLineValues) * kLineValues;
  plan.partsPerRun = ceilDiv(p.inner, plan.partLength);
  plan.chunks = p.outer * plan.partsPerRun;
}

// Chunks of runs in the order of memory, with so many values of a channel in each where it has as many rows.
void cutStream(Plan& plan, const Problem& p, int64_t runBytes, int64_t leastValues) {
  if (runBytes > kChunkBytes) {
    cutChannels(plan, p, 1);
    cutRuns(plan, p, runBytes);
  } else {
    cutChannels(plan, p, kChunkBytes / runBytes);
    cutRows(plan, p, runBytes, ceilDiv(leastValues, p.inner));
  }
}

// What decides about a reduction's plan.
struct Footprint {
  int64_t run, channel, tensor;  // bytes
  int64_t tensorsRead;

  int64_t read() const { return tensorsRead * tensor; }
  int64_t moved() const { return read() + tensor; }
  bool small() const { return tensor <= kSmallProblem; }
  int64_t fitting() const { return kResidentBytes / channel; }  // channels in a resident tile
  // Channels of a tile when there are just enough tiles.
  int64_t shared(const Problem& p) const { return small() ? p.channels : ceilDiv(p.channels, kEnoughTasks); }
};

Plan planColumns(const Problem& p, const Footprint& bytes) {
  Plan plan;
  plan.columns = true;
  const int64_t narrowest = ceilDiv(std::min(kNarrowTile, p.channels * p.inner), p.inner);
  const int64_t wanted = columnChannels(p, std::min(bytes.fitting(), std::max(bytes.shared(p), narrowest)));
  plan.resident = bytes.fitting() >= narrowest && (bytes.small() || ceilDiv(p.channels, wanted) >= kEnoughTasks / 2);
  cutChannels(plan, p, plan.resident ? wanted : columnChannels(p, p.channels));
  if (!plan.resident) cutRows(plan, p, bytes.run);
  return plan;
}

// A resident tile of runs jumps from one to the next, which costs prefetchers their lead. Reading twice in the order of memory is
// sooner done where the third-level cache can serve the second time.
Plan planRuns(const Problem& p, const Footprint& bytes) {
  Plan plan;
  const bool fits = bytes.fitting() >= 1 && (bytes.small() || p.channels >= kEnoughTasks / 2);
  const bool scattered = p.outer > 1 && bytes.run < kLongSegment;
  plan.resident = fits && !(scattered && bytes.read() > kSecondLevel && bytes.moved() <= kThirdLevel);
  if (plan.resident) {
    const int64_t some = std::max(kSmallProblem / bytes.channel, ceilDiv(kLongSegment, bytes.run));
    cutChannels(plan, p, std::clamp<int64_t>(some, 1, std::min(std::max<int64_t>(2, bytes.fitting() / 2), bytes.shared(p))));
  } else {
    cutStream(plan, p, bytes.run, kManyValues);
  }
  return plan;
}

}  // namespace

Plan planReduction(const Problem& p, int64_t tensorsRead) {
  const auto elementBytes = static_cast<int64_t>(sizeOf(p.dtype));
  Footprint bytes;
  bytes.run = p.inner * elementBytes;
  bytes.channel = p.valuesPerChannel() * elementBytes;
  bytes.tensor = p.size() * elementBytes;
  bytes.tensorsRead = tensorsRead;
  Plan plan = usesColumns(p) ? planColumns(p, bytes) : planRuns(p, bytes);
  plan.writesColumns = writesColumns(p);
  plan.fetchesAhead = plan.resident && bytes.moved() > kFarAway;
  plan.pastCaches = bytes.moved() > kThirdLevel;
  return plan;
}

Plan planElementwise(const Problem& p) {
  Plan plan;
  const int64_t runBytes = p.inner * static_cast<int64_t>(sizeOf(p.dtype));
  plan.writesColumns = writesColumns(p);
  if (plan.writesColumns) {
    cutChannels(plan, p, columnChannels(p, p.channels));
    cutRows(plan, p, runBytes);
  } else {
    cutStream(plan, p, runBytes, 1);
  }
  plan.pastCaches = 2 * p.size() * static_cast<int64_t>(sizeOf(p.dtype)) > kReadOnce;
  return plan;
}

}  // namespace cuda_batchnorm::cpu
