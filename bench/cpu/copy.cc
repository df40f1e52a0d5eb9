// Times a plain copy of a tensor: the yardstick of the CPU benchmark. Usage: copy THREADS; helper.ts tells what it reads and writes.
//
// Each thread copies its part with memcpy, 64 KiB at a time: for one large block memcpy may turn to stores past the caches,
// which here would make the yardstick slower than any plain loop.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPiece = 64 * 1024;
constexpr size_t kHugePage = 2 * 1024 * 1024;

// Memory on huge pages where the system grants them, with every page touched.
char* allocate(size_t bytes) {
  const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* block = std::aligned_alloc(kHugePage, rounded);
  if (!block) std::abort();
#ifdef MADV_HUGEPAGE
  madvise(block, rounded, MADV_HUGEPAGE);
#endif
  std::memset(block, 1, rounded);
  return static_cast<char*>(block);
}

struct Copy {
  char* destination = nullptr;
  const char* source = nullptr;
  size_t bytes = 0;
};

void copyPart(const Copy& copy, int part, int parts) {
  const size_t pieces = (copy.bytes + kPiece - 1) / kPiece;
  const size_t begin = pieces * part / parts * kPiece;
  const size_t end = std::min(copy.bytes, pieces * (part + 1) / parts * kPiece);
  for (size_t at = begin; at < end; at += kPiece) std::memcpy(copy.destination + at, copy.source + at, std::min(kPiece, end - at));
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Threads that meet before and after every copy. They spin, because sleeping would cost more than the smallest copy; between bursts they
// sleep, so that they leave the cores to the other contenders.
class Team {
 public:
  explicit Team(int size) : size_(size) {
    for (int part = 1; part < size; part++) members_.emplace_back([this, part] { follow(part); });
  }
  ~Team() {
    stopping_ = true;
    turn_.fetch_add(1, std::memory_order_release);
    for (std::thread& member : members_) member.join();
  }

  // One burst of copies back to back; returns the seconds of one.
  double burst(const Copy& copy, int calls) {
    copy_ = copy;
    inBurst_ = true;
    run((calls + 3) / 4);  // awake, and in the caches again
    const double start = seconds();
    run(calls);
    const double end = seconds();
    inBurst_ = false;
    return (end - start) / calls;
  }

 private:
  void run(int calls) {
    for (int i = 0; i < calls; i++) {
      waiting_.store(size_ - 1, std::memory_order_relaxed);
      turn_.fetch_add(1, std::memory_order_release);
      copyPart(copy_, 0, size_);
      wait([this] { return waiting_.load(std::memory_order_acquire) == 0; });
    }
  }

  template <typename Condition>
  void wait(Condition met) const {
    for (int spins = 0; !met(); spins++) {
      if (spins > 1'000'000 || !inBurst_) std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  void follow(int part) {
    for (int seen = 0;; seen++) {
      wait([&] { return turn_.load(std::memory_order_acquire) != seen; });
      if (stopping_) return;
      copyPart(copy_, part, size_);
      waiting_.fetch_sub(1, std::memory_order_release);
    }
  }

  int size_;
  Copy copy_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> inBurst_{false};
  std::atomic<int> turn_{0};
  std::atomic<int> waiting_{0};
  std::vector<std::thread> members_;
};

}  // namespace

int main(int, char** arguments) {
  Team team(std::atoi(arguments[1]));
  std::cout << "memcpy" << std::endl;
  char* source = nullptr;
  char* destination = nullptr;
  size_t allocated = 0;
  std::string operation, layout;
  int calls;
  size_t n, c, h, w;
  while (std::cin >> operation >> calls >> layout >> n >> c >> h >> w) {
    const size_t bytes = n * c * h * w * sizeof(float);
    if (bytes != allocated) {
      std::free(source);
      std::free(destination);
      source = allocate(bytes);
      destination = allocate(bytes);
      allocated = bytes;
    }
    const Copy copy{destination, source, bytes};
    std::printf("%.9f\n", team.burst(copy, calls));
    std::fflush(stdout);
  }
}
