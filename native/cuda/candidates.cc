#include "candidates.h"

#include <algorithm>
#include <initializer_list>

namespace cuda_batchnorm::cuda {
namespace {

constexpr uint32_t kRegistersPerThread = 128;  // at most: kernels are compiled for kMostBlockThreads
constexpr size_t kSharedUnit = 256;            // bytes in which shared memory is given to blocks; half of it from Ampere on
constexpr double kRowOverhead = 8;             // bytes that each row costs besides its own: memory likes long ones
constexpr int64_t kLanesPerChannel = 16;       // that add up a channel's partial results: those of a warp, two beside each other
constexpr int64_t kPartialsBeside = 8;         // that a lane loads at once: addUp() of team.cuh
constexpr double kCacheLatency = 0.3e-6;       // seconds from a request to the second-level cache to its answer; an estimate: published
                                               // microbenchmarks find 0.15 to 0.25 us where nobody else asks
constexpr double kAddition = 15e-9;            // seconds a lane takes to add one; an estimate: some 25 cycles of dependent arithmetic

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

class Search {
 public:
  Search(const Problem& problem, const TeamWork& work, const DeviceProperties& device, const Tuning& tuning, uint32_t keptPercent,
         const std::function<void(const Candidate&)>& consider)
      : p_(problem), work_(work), device_(device), tuning_(tuning), keptPercent_(keptPercent), consider_(consider) {}

  void run() {
    for (const uint32_t threads : {512, 256, 128}) {
      for (const uint32_t perProcessor : {1, 2, 3, 4}) {
        if (perProcessor > blocksOfRegisters(threads)) continue;
        const bool tiled = work_.way == Way::Columns;
        for (const uint32_t tile : {4, 8, 16, 32}) {
          if (tile == 4 || tiled) tryTeams(threads, perProcessor, tile);
        }
      }
    }
  }

 private:
  void tryTeams(uint32_t threads, uint32_t perProcessor, uint32_t tile) {
    const Cut alone = cut(1, threads, tile);
    if (alone.threads == 0 && !mustBeCut(threads)) return;
    const int64_t resident = int64_t{device_.multiprocessors} * perProcessor;
    for (int64_t blocks = 1; blocks <= kMostClusterBlocks; ++blocks) tryTeam(blocks, threads, perProcessor, tile);
    for (int64_t blocks = 12; blocks <= resident; blocks += blocks / 2) tryTeam(blocks, threads, perProcessor, tile);
    if (alone.threads > 0) {
      tryTeam(std::max<int64_t>(1, resident / alone.pieces), threads, perProcessor, tile);
      const int64_t room = std::max<int64_t>(1, roomOf(alone, perProcessor));
      const int64_t fitting = std::max<int64_t>(1, ceilDiv(alone.places * accessBytes(alone), room));
      for (const int64_t blocks : {fitting, fitting + 1}) tryTeam(blocks, threads, perProcessor, tile);
    }
    tryTeam(resident, threads, perProcessor, tile);
  }

  // Whether one block would have more values than it can count.
  bool mustBeCut(uint32_t threads) const { return cut(device_.multiprocessors, threads, 4).threads > 0; }

  Cut cut(int64_t blocks, uint32_t threads, uint32_t tile) const {
    return cutProblem(p_, work_.way, work_.wide, work_.mask, blocks, threads, tile);
  }

  void tryTeam(int64_t blocks, uint32_t threads, uint32_t perProcessor, uint32_t tile) {
    Candidate candidate;
    candidate.cut = cut(blocks, threads, tile);
    if (candidate.cut.threads == 0 || !keepWhatFits(candidate, perProcessor)) return;
    if (candidate.cut.blocks == 1) return tryKind(candidate, TeamKind::Block);
    if (hasClustersOf(candidate.cut.blocks)) tryKind(candidate, TeamKind::Cluster);
    if (device_.cooperative) tryKind(candidate, TeamKind::Grid);
  }

  // A slice of a device may have no place for the larger ones.
  bool hasClustersOf(uint32_t blocks) const {
    return device_.major >= 9 && blocks <= kMostClusterBlocks && device_.clusters[blocks].value_or(1) > 0;
  }

  void tryKind(Candidate candidate, TeamKind kind) {
    const Cut& cut = candidate.cut;
    TeamCut& team = candidate.team;
    team.kind = kind;
    team.teams = team.pieces = cut.pieces;
    if (kind == TeamKind::Grid) {
      const int64_t resident = int64_t{device_.multiprocessors} * candidate.blocksPerProcessor;
      team.teams = static_cast<uint32_t>(std::min<int64_t>({int64_t{cut.pieces}, resident / cut.blocks, int64_t{kMeetingCounters}}));
      if (team.teams == 0) return;
    }
    candidate.seconds = predict(candidate);
    consider_(candidate);
  }

  // ---- shared memory ----

  int64_t accessBytes(const Cut& cut) const { return cut.accessElements * static_cast<int64_t>(sizeOf(p_.dtype)) * work_.keptTensors; }
  int64_t keptBytes(const Candidate& c) const { return c.team.keptPlaces * accessBytes(c.cut); }

  // Bytes that a block has for its chunk when so many blocks are to share a multiprocessor.
  int64_t roomOf(const Cut& cut, uint32_t perProcessor) const {
    const size_t given = device_.sharedPerMultiprocessor / perProcessor / kSharedUnit * kSharedUnit;
    const auto share = static_cast<int64_t>(given - device_.sharedReserved);
    return std::min(share, static_cast<int64_t>(device_.sharedPerBlock)) - SharedLayout(cut.team(), work_.compute).kept;
  }

  bool keepWhatFits(Candidate& candidate, uint32_t perProcessor) const {
    const int64_t room = roomOf(candidate.cut, perProcessor);
    if (room < 0) return false;
    candidate.team = candidate.cut.team();
    if (work_.keptTensors > 0) keep(candidate, room / accessBytes(candidate.cut));
    const SharedLayout layout(candidate.team, work_.compute);
    candidate.sharedBytes = static_cast<uint32_t>(layout.kept + keptBytes(candidate));
    const size_t taken = (candidate.sharedBytes + device_.sharedReserved + kSharedUnit - 1) / kSharedUnit * kSharedUnit;
    const auto ofShared = static_cast<uint32_t>(device_.sharedPerMultiprocessor / std::max(kSharedUnit, taken));
    candidate.blocksPerProcessor = std::min(ofShared, blocksOfRegisters(candidate.cut.threads));
    return candidate.blocksPerProcessor > 0;
  }

  void keep(Candidate& candidate, int64_t places) const {
    const Cut& cut = candidate.cut;
    const int64_t steps = places >= cut.places ? cut.steps : places / cut.stepThreads;
    candidate.team.keptSteps = static_cast<uint32_t>(steps * keptPercent_ / 100);
    candidate.team.keptPlaces = static_cast<uint32_t>(std::min(int64_t{candidate.team.keptSteps} * cut.stepThreads, cut.places));
  }

  uint32_t blocksOfRegisters(uint32_t threads) const {
    const auto registers = static_cast<uint32_t>(device_.registersPerMultiprocessor) / (kRegistersPerThread * threads);
    return std::min(registers, static_cast<uint32_t>(device_.threadsPerMultiprocessor) / threads);
  }

  // ---- time ----

  double predict(const Candidate& c) const {
    const auto processors = static_cast<double>(device_.multiprocessors);
    const double bandwidth = device_.bytesPerSecond * tuning_.bandwidth;
    const double blocks = static_cast<double>(c.cut.pieces) * c.cut.blocks;
    const double usable = usableProcessors(c);
    const double resident = usable * c.blocksPerProcessor;
    const double running = c.team.kind == TeamKind::Grid ? static_cast<double>(c.team.teams) * c.cut.blocks : std::min(blocks, resident);
    const double busy = std::min(running, usable);
    const double beside = running / busy;  // blocks that share a multiprocessor
    const double rounds = c.team.kind == TeamKind::Grid
                              ? static_cast<double>(ceilDiv(c.cut.pieces, c.team.teams))
                              : static_cast<double>(ceilDiv(static_cast<int64_t>(blocks), static_cast<int64_t>(running)));

    // Blocks with less than the largest chunk, and threads without a place in it, wait for the others.
    const double slots = blocks * c.cut.steps * c.cut.threads * static_cast<double>(c.cut.accessElements);
    const double idle = std::max(1.0, slots / static_cast<double>(p_.size()));
    // Memory is as fast as what is asked of it at a time lets it be. What is kept is asked for at once, what is not in small batches.
    const auto rate = [&](double inFlight) { return std::min(bandwidth, inFlight * beside * usable / tuning_.latency); };
    const double batch = static_cast<double>(work_.readInFlight) * c.cut.threads;
    const double atOnce = std::max(batch, static_cast<double>(keptBytes(c)));
    const double streamed = streamedBytes(c);
    const double other = otherBytes(c);
    const double even = streamed / rate(batch) + other / rate(atOnce);
    const double busiest = rounds * beside * ((streamed + other) / blocks) * idle * processors / (bandwidth * tuning_.processorBandwidth);
    const double warps = beside * c.cut.threads / 32;
    const double arithmetic = rounds * c.cut.steps * std::max(tuning_.stepLatency, warps * tuning_.step);
    // Blocks that share a multiprocessor cover each other's waits, but for those of one team, which wait together.
    const double others = c.team.kind == TeamKind::Grid ? std::min(beside, static_cast<double>(c.team.teams)) : beside;
    const double stall = tuning_.latency + tuning_.piece + meeting(c);
    constexpr double kInTheWay = 0.125;  // of the arithmetic, which is not done beside all of the movement
    return tuning_.launch + std::max({even, busiest, arithmetic}) + kInTheWay * arithmetic + exchange(c) +
           stall * (1 + (rounds - 1) / others);
  }

  // Multiprocessors that can have blocks: clusters leave some of them over.
  double usableProcessors(const Candidate& c) const {
    const bool ofClusters = c.team.kind == TeamKind::Cluster && device_.clusters[c.cut.blocks];
    return ofClusters ? static_cast<double>(*device_.clusters[c.cut.blocks]) * c.cut.blocks : device_.multiprocessors;
  }

  double missing(const Candidate& c) const { return 1 - static_cast<double>(c.team.keptSteps) / c.cut.steps; }

  // Read of what is not kept, both times.
  double streamedBytes(const Candidate& c) const {
    const double again = static_cast<double>(p_.size()) * static_cast<double>(work_.bytesPerReread);
    return missing(c) * (static_cast<double>(work_.bytesRead) + again) * overhead(c);
  }

  // Read of what is kept, and all that is written, which no thread waits for.
  double otherBytes(const Candidate& c) const {
    return ((1 - missing(c)) * static_cast<double>(work_.bytesRead) + static_cast<double>(work_.bytesWritten)) * overhead(c);
  }

  double overhead(const Candidate& c) const { return 1 + kRowOverhead / static_cast<double>(rowBytes(c.cut)); }

  // Contiguous bytes that a block's threads access together.
  int64_t rowBytes(const Cut& cut) const {
    const auto element = static_cast<int64_t>(sizeOf(p_.dtype));
    if (cut.way == Way::Runs) return cut.runs.partLength * element;
    return (cut.way == Way::Planes ? cut.planes.threadsX : cut.columns.threadsX) * cut.accessElements * element;
  }

  // Every block of a grid's team reads what all of them have, and the second-level cache serves it.
  double exchange(const Candidate& c) const {
    if (c.team.kind != TeamKind::Grid) return 0;
    const double read = static_cast<double>(c.cut.blocks) * c.cut.blocks * static_cast<double>(p_.channels) * work_.bytesTold;
    return read / (device_.bytesPerSecond * tuning_.cacheBandwidth);
  }

  double meeting(const Candidate& c) const {
    if (c.team.kind == TeamKind::Block) return 0;
    return c.team.kind == TeamKind::Cluster ? tuning_.clusterMeeting : tuning_.gridMeeting + adding(c.cut);
  }

  // Seconds that a block takes to add up what all blocks of a grid's team told: each lane waits for one batch of loads after the other.
  double adding(const Cut& cut) const {
    const int64_t lanes = std::min(kLanesPerChannel * cut.channels, int64_t{cut.threads});
    const int64_t values = ceilDiv(int64_t{cut.channels} * cut.blocks, lanes);
    return static_cast<double>(ceilDiv(values, kPartialsBeside)) * kCacheLatency + static_cast<double>(values) * kAddition;
  }

  const Problem& p_;
  const TeamWork& work_;
  const DeviceProperties& device_;
  const Tuning& tuning_;
  const uint32_t keptPercent_;
  const std::function<void(const Candidate&)>& consider_;
};

}  // namespace

void forEachCandidate(const Problem& problem, const TeamWork& work, const DeviceProperties& device, const Tuning& tuning,
                      uint32_t keptPercent, const std::function<void(const Candidate&)>& consider) {
  Search(problem, work, device, tuning, keptPercent, consider).run();
}

}  // namespace cuda_batchnorm::cuda
