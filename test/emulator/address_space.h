// Which addresses belong to which allocation, now and lately. Knows nothing of the memory behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

namespace cuda_batchnorm::emulator {

struct Allocation {
  size_t bytes = 0;
  size_t fence = 0;  // unused addresses on each side
  uint32_t number = 0;
  bool live = true;
};

class AddressSpace {
 public:
  using Allocations = std::map<uintptr_t, Allocation>;

  static constexpr uintptr_t kPageBytes = 4096;  // two allocations never share one
  static constexpr size_t kQuarantineBytes = size_t{128} << 20;
  static constexpr size_t kQuarantineCount = 4096;

  AddressSpace(uintptr_t first, uintptr_t bytes) : first_(first), bytes_(bytes), next_(first) {}

  static size_t wholePages(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

  // Goes round, so that an address is used again as late as can be. Throws std::bad_alloc.
  const Allocations::value_type& allocate(size_t bytes);

  // Into quarantine, where it is still known. Throws Fault unless a live allocation begins here.
  const Allocations::value_type& free(uintptr_t address);

  // The next one to leave an overfull quarantine; nullptr where there is none. To be followed by forgetOldest().
  const Allocations::value_type* oldest() const;
  void forgetOldest();

  size_t liveBytes() const { return liveBytes_; }

  // In words, where an address lies relative to the allocation nearest to it.
  std::string place(uintptr_t address) const;

 private:
  uintptr_t findGap(size_t needed) const;
  uintptr_t firstFit(uintptr_t from, size_t needed) const;

  uintptr_t first_;
  uintptr_t bytes_;
  uintptr_t next_;
  Allocations allocations_;  // live ones and those in quarantine
  std::deque<uintptr_t> quarantine_;
  size_t quarantinedBytes_ = 0;
  size_t liveBytes_ = 0;
  uint32_t lastNumber_ = 0;
};

}  // namespace cuda_batchnorm::emulator
