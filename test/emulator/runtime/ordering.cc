#include "ordering.h"

#include <algorithm>

namespace cuda_batchnorm::emulator {
namespace {

constexpr size_t kDeadRemembered = 4096;

bool unordered(const Use& a, const Use& b) { return !happensBefore(a.order, b.order) && !happensBefore(b.order, a.order); }

bool overlap(const Use& a, const Use& b) { return a.first < b.end && b.first < a.end; }

std::string who(const Use& use) {
  return use.by + (use.stream == kNoStream ? std::string(" by the host") : " on stream " + std::to_string(use.stream));
}

// "missing stream wait: scale on stream 2 reads memory that cudaMemcpyAsync on stream 1 wrote"
[[noreturn]] void missingWait(const Use& use, const char* does, const Use& other, const char* did) {
  throw Fault(kind::kMissingStreamWait, ": " + who(use) + " " + does + " memory that " + who(other) + " " + did);
}

// Whatever comes after `later` is ordered after `earlier` too, and conflicts with `later` where it would with `earlier`.
bool standsFor(const Use& later, const Use& earlier) {
  return (later.write || !earlier.write) && later.first <= earlier.first && earlier.end <= later.end &&
         happensBefore(earlier.order, later.order);
}

}  // namespace

void join(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size());
  for (size_t line = 0; line < other.size(); ++line) clock[line] = std::max(clock[line], other[line]);
}

bool covers(const Clock& clock, const Place& place) { return place.line < clock.size() && clock[place.line] >= place.time; }

void advance(Clock& clock, const Place& place) {
  if (clock.size() <= place.line) clock.resize(place.line + 1);
  clock[place.line] = std::max(clock[place.line], place.time);
}

bool happensBefore(const Order& earlier, const Order& later) {
  if (earlier.launch != 0 && earlier.launch == later.launch) return covers(*later.nodesBefore, earlier.node);
  return covers(*later.before, earlier.place);
}

void Ledger::born(uint64_t id, int device, std::optional<Use> birth) {
  Allocation& allocation = allocations_[id];
  allocation.device = device;
  allocation.birth = std::move(birth);
}

void Ledger::used(uint64_t id, int device, const Use& use) {
  const auto found = allocations_.find(id);
  if (found == allocations_.end()) return;
  Allocation& allocation = found->second;
  const auto conflict = std::find_if(allocation.uses.begin(), allocation.uses.end(), [&](const Use& other) {
    return (use.write || other.write) && overlap(use, other) && unordered(use, other);
  });
  const std::optional<Use> conflicting = conflict == allocation.uses.end() ? std::nullopt : std::optional<Use>(*conflict);
  allocation.uses.erase(
      std::remove_if(allocation.uses.begin(), allocation.uses.end(), [&](const Use& other) { return standsFor(use, other); }),
      allocation.uses.end());
  allocation.uses.push_back(use);

  const char* const does = use.write ? "writes" : "reads";
  if (device != kAnyDevice && allocation.device != kAnyDevice && allocation.device != device) {
    throw Fault(kind::kOtherDevice, ": " + who(use) + " of device " + std::to_string(device) + " " + does + " memory of device " +
                                        std::to_string(allocation.device));
  }
  if (allocation.birth && !happensBefore(allocation.birth->order, use.order)) missingWait(use, does, *allocation.birth, "allocated");
  if (allocation.death) {
    if (unordered(*allocation.death, use)) missingWait(use, does, *allocation.death, "freed");
    throw Fault(kind::kUseAfterFree, ": " + who(use) + " " + does + " memory that " + who(*allocation.death) + " freed");
  }
  if (conflicting) missingWait(use, does, *conflicting, conflicting->write ? "wrote" : "read");
}

void Ledger::freed(uint64_t id, const Use& use) {
  const auto found = allocations_.find(id);
  if (found == allocations_.end()) return;
  Allocation& allocation = found->second;
  const std::vector<Use> earlier = std::move(allocation.uses);
  allocation.uses.clear();
  allocation.death = use;
  dead_.push_back(id);
  if (dead_.size() > kDeadRemembered) {
    allocations_.erase(dead_.front());
    dead_.pop_front();
  }

  for (const Use& other : earlier) {
    if (!happensBefore(other.order, use.order)) missingWait(use, "frees", other, other.write ? "wrote" : "read");
  }
  if (allocation.birth && !happensBefore(allocation.birth->order, use.order)) missingWait(use, "frees", *allocation.birth, "allocated");
}

}  // namespace cuda_batchnorm::emulator
