// What happens before what. Work is ordered by its stream, by events and by what the host has waited for, never by how the timing works
// out: two uses of the same memory, one of them a write, that are not ordered are a fault, even if they went well this time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../fault.h"

namespace cuda_batchnorm::emulator {

namespace kind {
constexpr char kMissingStreamWait[] = "missing stream wait";
constexpr char kOtherDevice[] = "memory of another device";
}  // namespace kind

// A vector clock: how much of each line of work is known to be done. Every stream is a line.
using Clock = std::vector<uint64_t>;

void join(Clock& clock, const Clock& other);

struct Place {
  size_t line = 0;
  uint64_t time = 0;  // 1 is the first work of the line
};

bool covers(const Clock& clock, const Place& place);
void advance(Clock& clock, const Place& place);

// Where work stands among streams and, if it belongs to a launch of a graph, among the graph's nodes, which have lines of their own.
struct Order {
  Place place;
  std::shared_ptr<const Clock> before;
  uint64_t launch = 0;  // of a graph; 0: none
  Place node;
  std::shared_ptr<const Clock> nodesBefore;
};

bool happensBefore(const Order& earlier, const Order& later);

constexpr int kAnyDevice = -1;
constexpr int kNoStream = -1;  // the host itself

struct Use {
  std::string by;  // a kernel's name, "cudaMemcpyAsync"
  int stream = 0;
  Order order;
  bool write = false;
  size_t first = 0;  // bytes of the allocation
  size_t end = SIZE_MAX;
};

// Every allocation, the uses of it that later ones must be ordered with, and for a while those that are freed. The caller keeps threads
// apart.
class Ledger {
 public:
  // `device` may be kAnyDevice. Memory without a `birth` is there for all.
  void born(uint64_t id, int device, std::optional<Use> birth);
  // `device` is the only one whose memory may be used, or kAnyDevice. Throws Fault, after it took note of the use.
  void used(uint64_t id, int device, const Use& use);
  void freed(uint64_t id, const Use& use);
  void forget(uint64_t id) { allocations_.erase(id); }

 private:
  struct Allocation {
    int device = kAnyDevice;
    std::optional<Use> birth;
    std::optional<Use> death;
    std::vector<Use> uses;
  };

  std::map<uint64_t, Allocation> allocations_;
  std::deque<uint64_t> dead_;  // oldest first
};

}  // namespace cuda_batchnorm::emulator
