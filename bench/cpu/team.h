// What the yardsticks of the CPU benchmark share: memory, and threads that do one thing at once, back to back.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

constexpr size_t kHugePage = 2 * 1024 * 1024;

// Memory on huge pages where the system grants them, with every page touched.
inline char* allocate(size_t bytes) {
  const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* block = std::aligned_alloc(kHugePage, rounded);
  if (!block) std::abort();
#ifdef MADV_HUGEPAGE
  madvise(block, rounded, MADV_HUGEPAGE);
#endif
  std::memset(block, 0x3f, rounded);  // floats near one
  return static_cast<char*>(block);
}

inline double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The thread stays on the core of that number, counting those this process may use: two threads that spin on one core would take turns
// of milliseconds, and a thread that moves leaves its caches behind.
inline void pinToCore(int number) {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  int left = number % CPU_COUNT(&allowed);
  for (int core = 0; core < CPU_SETSIZE; core++) {
    if (!CPU_ISSET(core, &allowed) || left-- > 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
#else
  (void)number;
#endif
}

// Threads, the caller among them, each on a core of its own. In a burst they spin, because sleeping would cost more than the smallest
// tensor's time; between bursts they sleep, so that they leave the cores to the other contenders.
class Team {
 public:
  using Work = std::function<void(int part)>;

  explicit Team(int size) : size_(size) {
    for (int part = 1; part < size; part++) members_.emplace_back([this, part] { follow(part); });
    pinToCore(0);
  }
  ~Team() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    awake_.notify_all();
    for (std::thread& member : members_) member.join();
  }

  int size() const { return size_; }

  // Calls work(part) for every part at once, again and again; returns the seconds of one round. Some rounds before do not count.
  double burst(const Work& work, int calls) {
    work_ = &work;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      inBurst_ = true;
    }
    awake_.notify_all();
    run((calls + 3) / 4);  // awake, and in the caches again
    const double start = seconds();
    run(calls);
    const double end = seconds();
    inBurst_ = false;
    return (end - start) / calls;
  }

  // For the work: returns when all parts have come here.
  void meet() {
    const int turn = meeting_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      meeting_.store(turn + 1, std::memory_order_release);
    } else {
      spinUntil([&] { return meeting_.load(std::memory_order_acquire) != turn; });
    }
  }

 private:
  void run(int calls) {
    for (int i = 0; i < calls; i++) {
      waiting_.store(size_ - 1, std::memory_order_relaxed);
      turn_.fetch_add(1, std::memory_order_release);
      (*work_)(0);
      spinUntil([this] { return waiting_.load(std::memory_order_acquire) == 0; });
    }
  }

  void follow(int part) {
    pinToCore(part);
    int seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        awake_.wait(lock, [this] { return inBurst_ || stopping_; });
        if (stopping_) return;
      }
      for (;;) {
        spinUntil([&] { return turn_.load(std::memory_order_acquire) != seen || !inBurst_; });
        if (turn_.load(std::memory_order_acquire) == seen) break;
        seen++;
        (*work_)(part);
        waiting_.fetch_sub(1, std::memory_order_release);
      }
    }
  }

  // With more threads than cores somebody must give way.
  template <typename Condition>
  static void spinUntil(Condition met) {
    for (int spins = 0; !met(); spins++) {
      if (spins > 1'000'000) std::this_thread::yield();
    }
  }

  const int size_;
  const Work* work_ = nullptr;
  std::mutex mutex_;
  std::condition_variable awake_;
  bool stopping_ = false;  // under mutex_
  std::atomic<bool> inBurst_{false};
  std::atomic<int> turn_{0};
  std::atomic<int> waiting_{0};
  std::atomic<int> arrived_{0};
  std::atomic<int> meeting_{0};
  std::vector<std::thread> members_;
};
