#include "address_space.h"

#include <algorithm>
#include <iterator>
#include <new>
#include <sstream>

#include "fault.h"

namespace cuda_batchnorm::emulator {

namespace {

// A fence costs addresses only: wide ones also catch an index that is wrong by a whole row.
constexpr size_t kLeastFence = AddressSpace::kPageBytes;
constexpr size_t kGreatestFence = size_t{1} << 20;

std::string describe(const AddressSpace::Allocations::value_type& allocation) {
  std::ostringstream text;
  text << (allocation.second.live ? "the " : "the freed ") << allocation.second.bytes << " bytes at 0x" << std::hex << allocation.first;
  return text.str();
}

uintptr_t endOf(const AddressSpace::Allocations::value_type& allocation) { return allocation.first + allocation.second.bytes; }

}  // namespace

const AddressSpace::Allocations::value_type& AddressSpace::allocate(size_t bytes) {
  if (bytes > bytes_ / 2) throw std::bad_alloc();
  const size_t fence = std::clamp(wholePages(bytes / 8), kLeastFence, kGreatestFence);
  const size_t needed = wholePages(bytes) + 2 * fence;
  const uintptr_t start = findGap(needed);
  next_ = start + needed;
  liveBytes_ += bytes;
  return *allocations_.emplace(start + fence, Allocation{bytes, fence, ++lastNumber_, true}).first;
}

uintptr_t AddressSpace::findGap(size_t needed) const {
  for (const uintptr_t from : {next_, first_}) {
    const uintptr_t start = firstFit(from, needed);
    if (start + needed <= first_ + bytes_) return start;
  }
  throw std::bad_alloc();
}

uintptr_t AddressSpace::firstFit(uintptr_t from, size_t needed) const {
  auto following = allocations_.lower_bound(from);
  while (following != allocations_.end() && following->first - following->second.fence < from + needed) {
    from = following->first + wholePages(following->second.bytes) + following->second.fence;
    ++following;
  }
  return from;
}

const AddressSpace::Allocations::value_type& AddressSpace::free(uintptr_t address) {
  const auto found = allocations_.find(address);
  if (found == allocations_.end() || !found->second.live) {
    std::ostringstream text;
    text << ": 0x" << std::hex << address << (found != allocations_.end() ? " was freed before" : "");
    throw Fault(kind::kBadFree, text.str());
  }
  found->second.live = false;
  liveBytes_ -= found->second.bytes;
  quarantinedBytes_ += found->second.bytes;
  quarantine_.push_back(address);
  return *found;
}

const AddressSpace::Allocations::value_type* AddressSpace::oldest() const {
  const bool full = quarantinedBytes_ > kQuarantineBytes || quarantine_.size() > kQuarantineCount;
  return full ? &*allocations_.find(quarantine_.front()) : nullptr;
}

void AddressSpace::forgetOldest() {
  const auto found = allocations_.find(quarantine_.front());
  quarantine_.pop_front();
  quarantinedBytes_ -= found->second.bytes;
  allocations_.erase(found);
}

std::string AddressSpace::place(uintptr_t address) const {
  const auto after = allocations_.upper_bound(address);
  const bool hasBefore = after != allocations_.begin();
  const bool hasAfter = after != allocations_.end();
  const auto before = hasBefore ? std::prev(after) : after;
  std::ostringstream text;
  if (hasBefore && address < endOf(*before)) {
    text << address - before->first << " bytes into " << describe(*before);
  } else if (hasBefore && (!hasAfter || address - endOf(*before) < after->first - address)) {
    text << address - endOf(*before) << " bytes past the end of " << describe(*before);
  } else if (hasAfter) {
    text << after->first - address << " bytes before " << describe(*after);
  } else {
    text << "and nothing is allocated";
  }
  return text.str();
}

}  // namespace cuda_batchnorm::emulator
