#include "counters.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

namespace cuda_batchnorm::emulator {

namespace {

constexpr uintptr_t kSectorBytes = 32;
constexpr uint32_t kWarp = 32;

std::atomic<bool> counting{false};
std::mutex mutex;
std::map<std::string, KernelCounters> known;

}  // namespace

void enableCounting(bool enabled) { counting = enabled; }

bool countingEnabled() { return counting; }

void addCounters(const KernelCounters& counters) {
  const std::lock_guard<std::mutex> lock(mutex);
  KernelCounters& sum = known[counters.kernel];
  sum.kernel = counters.kernel;
  sum.launches += counters.launches;
  sum.loadBytes += counters.loadBytes;
  sum.storeBytes += counters.storeBytes;
  sum.loadSectors += counters.loadSectors;
  sum.storeSectors += counters.storeSectors;
}

std::vector<KernelCounters> takeCounters() {
  const std::lock_guard<std::mutex> lock(mutex);
  std::vector<KernelCounters> counters;
  counters.reserve(known.size());
  for (const auto& kernel : known) counters.push_back(kernel.second);
  known.clear();
  return counters;
}

void AccessLog::add(const void* place, uint32_t thread, uintptr_t address, size_t bytes, bool write) {
  Site& site = sites_[place];
  site.write = write;
  site.bytes += bytes;
  if (site.executions.size() <= thread) site.executions.resize(thread + kWarp);
  const uint64_t execution = static_cast<uint64_t>(thread / kWarp) << 32 | site.executions[thread]++;
  site.touched.emplace_back(execution, address / kSectorBytes);  // aligned, so never two of them
}

void AccessLog::countInto(KernelCounters& counters) {
  for (auto& named : sites_) {
    Site& site = named.second;
    std::sort(site.touched.begin(), site.touched.end());
    const auto distinct = std::unique(site.touched.begin(), site.touched.end()) - site.touched.begin();
    (site.write ? counters.storeBytes : counters.loadBytes) += site.bytes;
    (site.write ? counters.storeSectors : counters.loadSectors) += static_cast<uint64_t>(distinct);
  }
  sites_.clear();
}

}  // namespace cuda_batchnorm::emulator
