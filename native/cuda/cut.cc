#include "cut.h"

#include <algorithm>
#include <numeric>

namespace cuda_batchnorm::cuda {
namespace {

constexpr int64_t kMostChunkValues = int64_t{1} << 30;  // which 32 bits count
constexpr uint32_t kWarp = 32;
constexpr int64_t kLongRun = 512;      // bytes, from which on a row of one channel keeps memory busy
constexpr int64_t kShortestRow = 128;  // bytes of a row of planes, about

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t roundUp(int64_t a, int64_t b) { return ceilDiv(a, b) * b; }

uint32_t powerOfTwo(int64_t atLeast) {
  uint32_t power = 1;
  while (power < atLeast) power *= 2;
  return power;
}

bool isPowerOfTwo(uint32_t value) { return (value & (value - 1)) == 0; }

int64_t elementBytes(const Problem& p) { return static_cast<int64_t>(sizeOf(p.dtype)); }

// ---- runs ----

// Slots of a run, or of a part of one: one more where it may begin between two.
int64_t slotsOf(int64_t length, bool aligned, int64_t width) { return aligned ? length / width : (length + 2 * width - 2) / width; }

void cutRuns(Cut& cut, const Problem& p, int64_t blocks) {
  const int64_t width = accessWidth(p, cut.wide);
  RunsCut& runs = cut.runs;
  runs.outer = p.outer;
  runs.channels = p.channels;
  runs.inner = p.inner;
  runs.rowsPerChunk = ceilDiv(p.outer, blocks);
  runs.partLength = p.inner;
  if (blocks > p.outer) {
    runs.partLength = std::min(p.inner, roundUp(ceilDiv(p.inner, blocks / p.outer), kMaskBits));
    runs.partsPerRun = static_cast<uint32_t>(ceilDiv(p.inner, runs.partLength));
  }
  const bool aligned = p.inner % width == 0 && runs.partLength % width == 0;
  const int64_t slots = slotsOf(runs.partLength, aligned, width);
  cut.whole = aligned;
  cut.pieces = static_cast<uint32_t>(p.channels);
  cut.blocks = static_cast<uint32_t>(ceilDiv(p.outer, runs.rowsPerChunk)) * runs.partsPerRun;
  cut.scratchValues = cut.threads / kWarp;
  if (runs.rowsPerChunk * slots * width > kMostChunkValues) {
    cut.threads = 0;
    return;
  }
  runs.slotsPerPart = Divisor(static_cast<uint32_t>(slots));
  cut.steps = static_cast<uint32_t>(ceilDiv(runs.rowsPerChunk * slots, cut.threads));
  cut.stepThreads = cut.threads;
  cut.places = runs.rowsPerChunk * slots;
}

// The elements of a chunk's first `slots` slots, in a channel whose runs begin `phase` elements behind an access.
int64_t elementsOfSlots(int64_t slots, int64_t slotsPerRow, int64_t rows, int64_t length, int64_t width, int64_t phase) {
  const int64_t whole = std::min(rows, slots / slotsPerRow);
  const int64_t rest = whole < rows ? (slots - whole * slotsPerRow) * width - phase : 0;
  return whole * length + std::clamp<int64_t>(rest, 0, length);
}

int64_t beyondInRuns(const Cut& cut, uint32_t steps, int64_t width) {
  const RunsCut& runs = cut.runs;
  const int64_t slots = int64_t{steps} * cut.threads;
  const int64_t slotsPerRow = runs.slotsPerPart.value();
  const bool aligned = runs.inner % width == 0 && runs.partLength % width == 0;
  int64_t beyond = 0;
  for (int64_t chunk = 0; chunk < cut.blocks; ++chunk) {
    const int64_t begin = chunk % runs.partsPerRun * runs.partLength;
    const int64_t length = std::min(runs.partLength, runs.inner - begin);
    const int64_t firstRow = chunk / runs.partsPerRun * runs.rowsPerChunk;
    const int64_t rows = std::min(runs.rowsPerChunk, runs.outer - firstRow);
    if (slots >= rows * slotsPerRow) continue;
    const int64_t row = firstRow + slots / slotsPerRow;
    // Where runs begin between accesses, how far depends on the channel.
    const int64_t kinds = aligned ? 1 : runs.channels;
    for (int64_t channel = 0; channel < kinds; ++channel) {
      const int64_t phase = ((row * runs.channels + channel) * runs.inner + begin) % width;
      beyond += (runs.channels / kinds) * (rows * length - elementsOfSlots(slots, slotsPerRow, rows, length, width, aligned ? 0 : phase));
    }
  }
  return beyond;
}

// ---- planes ----

// Channels whose runs together are whole accesses, or bytes of the mask; 0 where that is no way to go.
int64_t groupOf(const Problem& p, bool mask) {
  const int64_t width = accessWidth(p, true);
  const int64_t unit = mask ? kMaskBits : width;
  if (p.inner == 1 || p.channels * p.inner % unit != 0 || (p.inner < width && 2 * p.inner != width)) return 0;
  int64_t group = unit / std::gcd(p.inner, unit);
  while (group * p.inner * elementBytes(p) < kShortestRow && group < p.channels) group *= 2;
  return group * p.inner / width <= kMostBlockThreads ? group : 0;
}

void cutPlanes(Cut& cut, const Problem& p, bool mask, int64_t blocks) {
  const int64_t width = accessWidth(p, true);
  PlanesCut& planes = cut.planes;
  planes.outer = p.outer;
  planes.channels = p.channels;
  planes.inner = p.inner;
  planes.group = static_cast<uint32_t>(groupOf(p, mask));
  planes.threadsX = static_cast<uint32_t>(planes.group * p.inner / width);
  if (planes.threadsX == 0 || planes.threadsX > cut.threads) {
    cut.threads = 0;
    return;
  }
  planes.threadsY = cut.threads / planes.threadsX;
  planes.rowsPerChunk = ceilDiv(p.outer, blocks);
  cut.pieces = static_cast<uint32_t>(ceilDiv(p.channels, planes.group));
  cut.blocks = static_cast<uint32_t>(ceilDiv(p.outer, planes.rowsPerChunk));
  cut.channels = planes.group;
  cut.scratchValues = 2 * cut.threads;
  cut.steps = static_cast<uint32_t>(ceilDiv(planes.rowsPerChunk, planes.threadsY));
  cut.stepThreads = planes.threadsX * planes.threadsY;
  cut.places = planes.rowsPerChunk * planes.threadsX;
  if (planes.rowsPerChunk * planes.group * p.inner > kMostChunkValues) cut.threads = 0;
}

int64_t beyondInPlanes(const Cut& cut, uint32_t steps) {
  const PlanesCut& planes = cut.planes;
  int64_t rows = 0;
  for (int64_t first = 0; first < planes.outer; first += planes.rowsPerChunk) {
    rows += std::max<int64_t>(0, std::min(planes.rowsPerChunk, planes.outer - first) - int64_t{steps} * planes.threadsY);
  }
  return rows * planes.channels * planes.inner;
}

// ---- columns ----

// Rows that are folded into one so that each begins at a byte of the mask; 0 where some would be left over, or the row would be more than
// a block is wide.
int64_t foldOf(const Problem& p) {
  const int64_t fold = kMaskBits / std::gcd(p.channels, kMaskBits);
  if (p.outer % fold != 0) return 0;
  return fold == 1 || p.channels * fold <= kMostBlockThreads * accessWidth(p, true) ? fold : 0;
}

void cutColumns(Cut& cut, const Problem& p, int64_t blocks, uint32_t tile) {
  const int64_t width = accessWidth(p, cut.wide);
  ColumnsCut& columns = cut.columns;
  columns.channels = static_cast<uint32_t>(p.channels);
  columns.fold = cut.wide ? static_cast<uint32_t>(std::max<int64_t>(1, foldOf(p))) : 1;
  columns.width = p.channels * columns.fold;
  columns.rows = p.outer / columns.fold;
  const int64_t accesses = columns.width / width;
  columns.threadsX = columns.fold > 1 ? static_cast<uint32_t>(accesses) : std::min(tile, powerOfTwo(accesses));
  if (columns.threadsX > cut.threads) {
    cut.threads = 0;
    return;
  }
  columns.threadsY = cut.threads / columns.threadsX;
  columns.tiles = static_cast<uint32_t>(ceilDiv(accesses, columns.threadsX));
  columns.rowsPerChunk = ceilDiv(columns.rows, blocks);
  const auto tileColumns = static_cast<uint32_t>(columns.threadsX * width);
  const bool together = columns.threadsX <= kWarp && isPowerOfTwo(columns.threadsX);
  cut.pieces = columns.tiles;
  cut.blocks = static_cast<uint32_t>(ceilDiv(columns.rows, columns.rowsPerChunk));
  cut.channels = std::min(tileColumns, columns.channels);
  cut.scratchValues = (together ? cut.threads / kWarp : columns.threadsY) * tileColumns;
  cut.steps = static_cast<uint32_t>(ceilDiv(columns.rowsPerChunk, columns.threadsY));
  cut.stepThreads = columns.threadsX * columns.threadsY;
  cut.places = columns.rowsPerChunk * columns.threadsX;
  if (columns.rowsPerChunk * columns.threadsX * width > kMostChunkValues) cut.threads = 0;
}

int64_t beyondInColumns(const Cut& cut, uint32_t steps) {
  const ColumnsCut& columns = cut.columns;
  int64_t beyond = 0;
  for (int64_t first = 0; first < columns.rows; first += columns.rowsPerChunk) {
    const int64_t rows = std::min(columns.rowsPerChunk, columns.rows - first);
    beyond += std::max<int64_t>(0, rows - int64_t{steps} * columns.threadsY) * columns.width;
  }
  return beyond;
}

}  // namespace

int64_t accessWidth(const Problem& p, bool wide) { return wide ? kAccessBytes / elementBytes(p) : 1; }

bool rowsAreWide(const Problem& p) { return foldOf(p) > 0 || p.channels % accessWidth(p, true) == 0; }

Way wayOf(const Problem& p, bool wide, bool mask) {
  if (p.inner == 1) return Way::Columns;
  const int64_t unit = mask ? kMaskBits : accessWidth(p, true);
  const bool suits = p.inner % unit != 0 || p.inner * elementBytes(p) < kLongRun;
  return wide && suits && groupOf(p, mask) > 0 ? Way::Planes : Way::Runs;
}

bool canWriteMask(const Problem& p, bool wide) {
  switch (wayOf(p, wide, true)) {
    case Way::Runs:
      return p.inner % kMaskBits == 0;
    case Way::Planes:
      return true;
    case Way::Columns:
      return wide && foldOf(p) > 0;
  }
  return false;
}

Cut cutProblem(const Problem& p, Way way, bool wide, bool mask, int64_t blocks, uint32_t threads, uint32_t tile) {
  Cut cut;
  cut.way = way;
  cut.wide = wide;
  cut.threads = threads;
  cut.accessElements = accessWidth(p, wide);
  if (way == Way::Runs) cutRuns(cut, p, blocks);
  if (way == Way::Planes) cutPlanes(cut, p, mask, blocks);
  if (way == Way::Columns) cutColumns(cut, p, blocks, tile);
  return cut;
}

int64_t Cut::beyond(uint32_t keptSteps) const {
  if (keptSteps >= steps) return 0;
  switch (way) {
    case Way::Runs:
      return beyondInRuns(*this, keptSteps, accessElements);
    case Way::Planes:
      return beyondInPlanes(*this, keptSteps);
    case Way::Columns:
      return beyondInColumns(*this, keptSteps);
  }
  return 0;
}

TeamCut Cut::team() const {
  TeamCut team;
  team.blocks = blocks;
  team.channels = channels;
  team.scratchValues = scratchValues;
  return team;
}

InOrderCut cutInOrder(const Problem& p, bool wide, uint32_t affineBytes) {
  constexpr int64_t kMostDivisor = int64_t{1} << 31;
  constexpr int64_t kMostSharedBytes = 32 << 10;
  InOrderCut cut;
  cut.size = p.size();
  cut.inner = p.inner;
  cut.channels = p.channels;
  int64_t batch = kTransformBatch;
  const int64_t elements = kTransformThreads * accessWidth(p, wide);
  while (batch > 1 && (batch * elements / p.inner + 2) * affineBytes > kMostSharedBytes) --batch;
  cut.elementsPerBlock = static_cast<uint32_t>(batch * elements);
  cut.innerDivisor = Divisor(static_cast<uint32_t>(std::min(p.inner, kMostDivisor)));
  cut.channelsDivisor = Divisor(static_cast<uint32_t>(p.channels));
  return cut;
}

}  // namespace cuda_batchnorm::cuda
