#include "system.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

#include "../core/error.h"
#include "sanitizer.h"

namespace cuda_batchnorm::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr int kMostThreads = 1024;

int threadsFromEnvironment(const std::string& setting) {
  const bool digits = setting.find_first_not_of("0123456789") == std::string::npos;
  const int threads = digits && setting.size() <= 4 ? std::stoi(setting) : 0;
  if (threads < 1 || threads > kMostThreads) {
    throw Error(ErrorCode::InvalidArgument, "Expected a whole number from 1 to " + std::to_string(kMostThreads) +
                                                " for CUDA_BATCHNORM_THREADS but received " + setting + " of type string");
  }
  return threads;
}

// A container's share of processor time, in cores; `cores` where there is no such limit.
int limitedByContainer(int cores) {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || period <= 0) return cores;
  return std::min(cores, static_cast<int>((quota + period - 1) / period));
}

}  // namespace

int usableThreads() {
  const char* const setting = std::getenv("CUDA_BATCHNORM_THREADS");
  if (setting != nullptr && *setting != '\0') return threadsFromEnvironment(setting);
  return std::max(1, limitedByContainer(usableCores()));
}

int usableCores() {
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

int currentCore() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

void keepOff([[maybe_unused]] int core, [[maybe_unused]] std::thread& thread) noexcept {
#ifdef __linux__
  cpu_set_t cores;
  if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof cores, &cores) != 0) return;
  CPU_CLR(static_cast<size_t>(core), &cores);
  if (CPU_COUNT(&cores) > 0) pthread_setaffinity_np(thread.native_handle(), sizeof cores, &cores);
#endif
}

size_t usableMemory() {
  size_t memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
  for (const char* const path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    size_t limit = 0;
    if (file >> limit) memory = std::min(memory, limit);
  }
  return memory;
}

std::string processorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "CPU";
}

void* systemAllocate(size_t bytes) noexcept {
  if (bytes < kHugePage) return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  // Reserves one huge page more and gives back what lies before and behind the aligned part.
  const size_t reserved = bytes + kHugePage;
  void* const mapped = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<uintptr_t>(mapped);
  const uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  const size_t before = aligned - start;
  const size_t behind = kHugePage - before;
  void* const block = static_cast<char*>(mapped) + before;
  if (before > 0) munmap(mapped, before);
  if (behind > 0) munmap(static_cast<char*>(block) + bytes, behind);
#ifdef MADV_HUGEPAGE
  madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void systemFree(void* block, size_t bytes) noexcept {
  unpoison(block, bytes);
  if (bytes < kHugePage) {
    std::free(block);
  } else {
    munmap(block, bytes);
  }
}

}  // namespace cuda_batchnorm::cpu
