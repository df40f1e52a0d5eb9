#include "grid.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <sstream>
#include <utility>

#include "execution.h"

namespace cuda_batchnorm::emulator {

__thread Execution* execution = nullptr;

namespace {

const char* nameOf(Primitive primitive) {
  switch (primitive) {
    case Primitive::Shuffle:
      return "a shuffle";
    case Primitive::Ballot:
      return "a ballot";
    case Primitive::SyncWarp:
      return "a warp's barrier";
    case Primitive::SyncBlock:
      return "a block's barrier";
    case Primitive::AnyInBlock:
      return "a block's vote";
    case Primitive::SyncCluster:
      return "a cluster's barrier";
    case Primitive::SyncGrid:
      return "the grid's barrier";
  }
  return "";
}

const char* kindOf(Primitive primitive) {
  switch (primitive) {
    case Primitive::Shuffle:
    case Primitive::Ballot:
    case Primitive::SyncWarp:
      return kind::kDivergentShuffle;
    case Primitive::SyncBlock:
    case Primitive::AnyInBlock:
      return kind::kDivergentBarrier;
    case Primitive::SyncCluster:
      return kind::kClusterDeadlock;
    case Primitive::SyncGrid:
      return kind::kGridDeadlock;
  }
  return "";
}

// As CUDA has it: lanes that only shuffle or vote may still see each other's writes in any order.
bool ordersMemory(Primitive primitive) { return primitive != Primitive::Shuffle && primitive != Primitive::Ballot; }

// Counters wrap around.
bool hasReached(uint32_t arrived, uint32_t arrivals) { return static_cast<int32_t>(arrived - arrivals) >= 0; }

}  // namespace

// ---- a grid, some blocks of it at a time ----

Execution::Execution() : fibers_(&Execution::runThreads) {}

void Execution::run(const char* kernel, const GridShape& shape, const std::function<void()>& body, uint64_t seed, Touched* touched) {
  kernel_ = kernel;
  shape_ = shape;
  warpsOfBlock_ = (shape.block + kWarpLanes - 1) / kWarpLanes;
  body_ = &body;
  random_ = Random(seed);
  touched_ = touched;
  std::memset(seen_, 0, sizeof seen_);
  counting_ = countingEnabled();
  counters_ = {};
  failure_ = nullptr;
  suspicion_ = nullptr;
  openArena();

  const uint32_t clusters = shape.grid / shape.cluster;
  order_.resize(clusters);
  std::iota(order_.begin(), order_.end(), 0u);
  for (uint32_t i = clusters; i > 1; --i) std::swap(order_[i - 1], order_[random_.below(i)]);

  const uint32_t atOnce = shape.cooperative ? clusters : 1;
  for (uint32_t first = 0; first < clusters && failure_ == nullptr; first += atOnce) runBlocks(first, atOnce);
  if (failure_ != nullptr) {
    blocks_.clear();  // copies may be under way to them
    copies_.clear();
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
  if (!counting_) return;
  counters_.kernel = kernel_;
  counters_.launches = 1;
  addCounters(counters_);
}

void Execution::runBlocks(uint32_t firstCluster, uint32_t clusters) {
  prepare(firstCluster, clusters);
  alive_ = static_cast<uint32_t>(threads_.size());
  goOnWith(takeReady());
  if (failure_ != nullptr) cancelWaiting();
  if (failure_ == nullptr && suspicion_ != nullptr) failure_ = std::make_exception_ptr(*suspicion_);
  if (counting_) log_.countInto(counters_);
}

void Execution::prepare(uint32_t firstCluster, uint32_t clusters) {
  const uint32_t blocks = clusters * shape_.cluster;
  constexpr uint32_t kLate = 1u << 31;
  if (time_ > kLate) {
    blocks_.clear();  // their records would be of the future
    time_ = 0;
  }
  ++time_;
  threads_.resize(size_t{blocks} * shape_.block);
  warps_.resize(size_t{blocks} * warpsOfBlock_);
  clusters_.resize(clusters);
  while (blocks_.size() < blocks) blocks_.push_back(std::make_unique<Block>());
  schedule_.reset(warps_.size());
  for (uint32_t number = 0; number < blocks; ++number) {
    const uint32_t cluster = number / shape_.cluster;
    const uint32_t rank = number % shape_.cluster;
    if (rank == 0) clusters_[cluster] = {barrierOf(number, shape_.cluster), time_};
    prepareBlock(number, order_[firstCluster + cluster] * shape_.cluster + rank, clusters_[cluster]);
  }
  grid_ = barrierOf(0, blocks);
  awaiting_.clear();
}

void Execution::prepareBlock(uint32_t number, uint32_t index, Cluster& cluster) {
  Block& block = *blocks_[number];
  block.index = index;
  block.rank = number % shape_.cluster;
  block.cluster = &cluster;
  block.barrier = barrierOf(number, 1);
  block.shared.reset(shape_.sharedBytes);
  for (uint32_t i = 0; i < shape_.block; ++i) {
    const uint32_t warp = block.barrier.firstWarp + i / kWarpLanes;
    threads_[block.barrier.first + i] = {i, &block, &warps_[warp], nullptr, false};
    schedule_.add(warp, 1u << i % kWarpLanes);
  }
  for (uint32_t i = 0; i < warpsOfBlock_; ++i) {
    Barrier& barrier = warps_[block.barrier.firstWarp + i].barrier;
    barrier = block.barrier;
    barrier.firstWarp += i;
    barrier.warps = 1;
    barrier.first += i * kWarpLanes;
    barrier.threads = std::min(kWarpLanes, shape_.block - i * kWarpLanes);
  }
}

Barrier Execution::barrierOf(uint32_t firstBlock, uint32_t blocks) const {
  Barrier barrier;
  barrier.firstWarp = firstBlock * warpsOfBlock_;
  barrier.warps = blocks * warpsOfBlock_;
  barrier.first = firstBlock * shape_.block;
  barrier.threads = blocks * shape_.block;
  barrier.time = time_;
  return barrier;
}

// ---- which thread goes on ----

// Every fiber's body. A thread that never waits leaves its fiber to the next one, without any change of stacks.
void Execution::runThreads() {
  Execution& self = *execution;
  for (;;) {
    self.runThread();
    Thread* next = self.failure_ == nullptr ? self.takeReady() : nullptr;
    if (next != nullptr && next->fiber == nullptr) {
      self.current_ = next;
      continue;
    }
    self.fibers_.give(self.running_);
    self.goOnWith(next);
  }
}

void Execution::runThread() {
  try {
    (*body_)();
    leave();
  } catch (const Cancelled&) {
  } catch (const Fault& fault) {
    const bool suspected = suspicion_ != nullptr && fault.kind() != kind::kSharedRace;
    failure_ = std::make_exception_ptr(suspected ? *suspicion_ : fault);
  } catch (...) {
    failure_ = std::current_exception();
  }
}

// nullptr where no thread can go on.
Thread* Execution::takeReady() {
  if (schedule_.empty()) return nullptr;
  const Schedule::Place place = schedule_.take(random_);
  return &threads_[warps_[place.warp].barrier.first + place.lane];
}

// Without one, the host thread goes on. Comes back when this fiber has its turn again.
void Execution::goOnWith(Thread* next) {
  Fiber* const from = running_ == nullptr ? &host_ : running_;
  Fiber* to = &host_;
  if (next != nullptr) to = next->fiber != nullptr ? std::exchange(next->fiber, nullptr) : fibers_.take();
  current_ = next;
  running_ = next == nullptr ? nullptr : to;
  Fiber::change(*from, *to);
}

void Execution::wake(const Thread& thread) {
  schedule_.add(static_cast<uint32_t>(thread.warp - warps_.data()), 1u << thread.index % kWarpLanes);
}

void Execution::park() {
  Thread* const self = current_;
  Thread* const next = takeReady();
  if (next == nullptr) failStuck();
  self->fiber = running_;
  goOnWith(next);
  if (failure_ != nullptr) throw Cancelled();
}

// Lets the objects on the stacks of the others end.
void Execution::cancelWaiting() {
  for (Thread& thread : threads_) {
    if (thread.fiber != nullptr) goOnWith(&thread);
  }
}

// ---- barriers ----

void Execution::wait(Barrier& barrier, Primitive primitive, uint32_t detail) {
  if (barrier.arrived == 0) {
    barrier.primitive = primitive;
    barrier.detail = detail;
    barrier.firstArrived = numberOf(*current_);
  }
  if (barrier.ended > 0) failDivergent(barrier, "others have ended");
  if (barrier.primitive != primitive) failDivergent(barrier, name(*current_) + " is at " + nameOf(primitive));
  if (barrier.detail != detail) failDivergent(barrier, name(*current_) + " passes on a value of another size");
  if (++barrier.arrived < barrier.threads) return park();
  release(barrier);
}

void Execution::release(Barrier& barrier) {
  barrier.arrived = 0;
  ++barrier.rounds;
  if (suspicion_ != nullptr && ordersMemory(barrier.primitive) && barrier.primitive != Primitive::SyncWarp) throw Fault(*suspicion_);
  if (ordersMemory(barrier.primitive)) barrier.time = ++time_;
  if (barrier.primitive == Primitive::SyncGrid) {
    for (Cluster& cluster : clusters_) cluster.barrier.time = time_;
  }
  for (uint32_t i = barrier.firstWarp; i < barrier.firstWarp + barrier.warps; ++i) {
    const Warp& warp = warps_[i];
    const uint32_t self = &warp == current_->warp ? 1u << current_->index % kWarpLanes : 0;
    schedule_.add(i, (UINT32_MAX >> (kWarpLanes - warp.barrier.threads)) & ~self);
  }
}

// A thread ends. Nobody may wait for it.
void Execution::leave() {
  if (!copies_.empty() && copies().underWay() > 0) {
    fail(kind::kCopyUnawaited, "ends, and of its copies to shared memory " + std::to_string(copies().underWay()) + " may be under way");
  }
  --alive_;
  ++current_->warp->barrier.ended;
  ++current_->block->barrier.ended;
  ++current_->block->cluster->barrier.ended;
  ++grid_.ended;
  for (const Barrier* barrier : {&current_->warp->barrier, &current_->block->barrier, &current_->block->cluster->barrier, &grid_}) {
    if (barrier->arrived > 0) failDivergent(*barrier, name(*current_) + " has ended");
  }
  if (schedule_.empty() && alive_ > 0) failStuck();
}

// ---- what primitives do ----

void Execution::syncWarp() { wait(current_->warp->barrier, Primitive::SyncWarp); }

uint32_t Execution::ballot(bool condition) {
  Warp& warp = *current_->warp;
  uint32_t& votes = warp.ballot[warp.barrier.rounds % 2];
  if (warp.barrier.arrived == 0) votes = 0;
  votes |= uint32_t{condition} << current_->index % kWarpLanes;
  wait(warp.barrier, Primitive::Ballot);
  return votes;
}

void Execution::shuffle(void* value, uint32_t bytes, uint32_t laneMask) {
  Warp& warp = *current_->warp;
  const uint32_t lane = current_->index % kWarpLanes;
  const uint32_t other = lane ^ laneMask;
  if (other >= warp.barrier.threads) fail(kind::kDivergentShuffle, "asks lane " + std::to_string(other) + ", which its warp does not have");
  unsigned char* const values = warp.exchange[warp.barrier.rounds % 2];
  std::memcpy(values + size_t{lane} * bytes, value, bytes);
  wait(warp.barrier, Primitive::Shuffle, bytes);
  std::memcpy(value, values + size_t{other} * bytes, bytes);
}

void Execution::syncBlock() { wait(current_->block->barrier, Primitive::SyncBlock); }

bool Execution::anyInBlock(bool condition) {
  Block& block = *current_->block;
  bool& any = block.any[block.barrier.rounds % 2];
  if (block.barrier.arrived == 0) any = false;
  any |= condition;
  wait(block.barrier, Primitive::AnyInBlock);
  return any;
}

void Execution::syncCluster() {
  if (current_->left) fail(kind::kClusterLeft, "comes to a barrier of its cluster");
  wait(current_->block->cluster->barrier, Primitive::SyncCluster);
}

void Execution::leaveCluster() {
  if (current_->left) fail(kind::kClusterLeft, "leaves it again");
  current_->left = true;
}

void Execution::awaitLeavers() {
  if (!current_->left) fail(kind::kClusterLeft, "waits for those who leave, and has not left itself");
  current_->left = false;
  wait(current_->block->cluster->barrier, Primitive::SyncCluster);
}

void Execution::syncGrid() {
  if (!shape_.cooperative) fail(kind::kNotCooperative, "waits for all blocks");
  wait(grid_, Primitive::SyncGrid);
}

uint32_t Execution::valueOf(const uint32_t* counter) {
  uint32_t value;
  std::memcpy(&value, load<sizeof value, false>(counter), sizeof value);
  return value;
}

uint32_t Execution::arriveAt(uint32_t* counter) {
  const uint32_t before = valueOf(counter);
  const uint32_t after = before + 1;
  const auto address = reinterpret_cast<uintptr_t>(counter);
  touch(address, true);
  std::memcpy(bytesAt(address), &after, sizeof after);
  const auto waits = [&](const Awaiting& one) { return one.counter != counter || !hasReached(after, one.arrivals); };
  const auto goOn = std::partition(awaiting_.begin(), awaiting_.end(), waits);
  for (auto one = goOn; one != awaiting_.end(); ++one) wake(threads_[one->thread]);
  awaiting_.erase(goOn, awaiting_.end());
  return before;
}

void Execution::awaitArrivals(const uint32_t* counter, uint32_t arrivals) {
  if (hasReached(valueOf(counter), arrivals)) return;
  if (!shape_.cooperative) fail(kind::kNotCooperative, "waits for arrivals at a counter");
  awaiting_.push_back({counter, arrivals, numberOf(*current_)});
  park();
}

// ---- shared memory ----

Block& Execution::blockOf(uint32_t rank) {
  if (rank >= shape_.cluster) {
    fail(kind::kSharedOutOfBounds, "asks for block " + std::to_string(rank) + " of a cluster of " + std::to_string(shape_.cluster));
  }
  const uint32_t own = current_->block->barrier.first / shape_.block;
  return *blocks_[own - current_->block->rank + rank];
}

Accessor Execution::accessor() const {
  const Block& block = *current_->block;
  return {ThreadName::of(block.rank, current_->index),
          current_->warp->barrier.time,
          block.barrier.time,
          block.cluster->barrier.time,
          block.cluster->beginning,
          time_};
}

void Execution::checkShared(uint32_t rank, uint64_t offset, size_t alignment) {
  if (offset % alignment != 0) fail(kind::kMisalignedAccess, "takes shared memory from byte " + std::to_string(offset) + " on");
  blockOf(rank);
}

const unsigned char* Execution::loadShared(uint32_t rank, uint64_t offset, uint32_t bytes) {
  Block& owner = blockOf(rank);
  checkSharedRange(owner, offset, bytes, false);
  const auto place = static_cast<uint32_t>(offset);
  if (const SharedConflict conflict = owner.shared.read(place, bytes, accessor())) {
    conflictInShared(conflict, owner, place, bytes, false);
    std::memset(owner.shared.data() + place, 0, bytes);
  }
  return owner.shared.data() + place;
}

unsigned char* Execution::storeShared(uint32_t rank, uint64_t offset, uint32_t bytes) {
  Block& owner = blockOf(rank);
  checkSharedRange(owner, offset, bytes, true);
  const auto place = static_cast<uint32_t>(offset);
  if (const SharedConflict conflict = owner.shared.write(place, bytes, accessor())) conflictInShared(conflict, owner, place, bytes, true);
  return owner.shared.data() + place;
}

// A device may bring the bytes at once or when they are waited for.
void Execution::beginCopy(uint32_t rank, uint64_t offset, const unsigned char* source) {
  Block& own = *current_->block;
  if (rank != own.rank) fail(kind::kSharedOutOfBounds, "copies to the shared memory of another block than its own");
  if (offset % kCopyBytes != 0) fail(kind::kMisalignedAccess, "copies 16 bytes to shared memory at " + std::to_string(offset));
  checkSharedRange(own, offset, kCopyBytes, true);
  const auto place = static_cast<uint32_t>(offset);
  if (const SharedConflict conflict = own.shared.beginCopy(place, kCopyBytes, accessor())) {
    conflictInShared(conflict, own, place, kCopyBytes, true);
  }
  const bool atOnce = random_.below(2) == 0;
  if (atOnce) std::memcpy(own.shared.data() + place, source, kCopyBytes);
  copies().begin({source, place, atOnce});
}

void Execution::waitForCopies(uint32_t pending) {
  SharedMemory& shared = current_->block->shared;
  copies().wait(pending, [&](const Copy& copy) {
    if (!copy.arrived) std::memcpy(shared.data() + copy.place, copy.source, kCopyBytes);
    shared.endCopy(copy.place, kCopyBytes, accessor());
  });
}

CopyQueue& Execution::copies() {
  if (copies_.size() < threads_.size()) copies_.resize(threads_.size());
  return copies_[numberOf(*current_)];
}

void Execution::checkSharedRange(Block& owner, uint64_t offset, uint32_t bytes, bool write) {
  const char* const verb = write ? "writes " : "reads ";
  if (current_->left && &owner != current_->block) {
    fail(kind::kClusterLeft, verb + std::string("shared memory of block ") + std::to_string(owner.index));
  }
  if (offset + bytes > owner.shared.bytes()) {
    fail(kind::kSharedOutOfBounds, verb + std::to_string(bytes) + " bytes at " + std::to_string(offset) + " of " +
                                       std::to_string(owner.shared.bytes()) + " bytes of shared memory");
  }
  if (owner.barrier.ended == owner.barrier.threads) {
    fail(kind::kSharedEnded,
         verb + std::to_string(bytes) + " bytes at " + std::to_string(offset) + " of block " + std::to_string(owner.index));
  }
}

// Who reads what nobody has written may only have been faster than the writer. That is told as the race it is, if the writer comes before
// the next barrier.
void Execution::conflictInShared(const SharedConflict& conflict, const Block& owner, uint32_t offset, uint32_t bytes, bool write) {
  std::ostringstream text;
  text << (write ? "writes " : "reads ") << bytes << " bytes at " << offset << " of the shared memory of block " << owner.index;
  if (conflict.kind == SharedConflict::Kind::Uninitialised) {
    if (suspicion_ == nullptr) suspicion_ = std::make_unique<Fault>(kind::kSharedUninitialised, ": " + who() + " " + text.str());
    return;
  }
  const Block& other = blockOf(conflict.other.rank());
  const std::string otherThread = name(threads_[other.barrier.first + conflict.other.thread()]);
  if (conflict.kind == SharedConflict::Kind::UnderWay) {
    text << ", to which " << otherThread << " has begun a copy and not waited for it";
    fail(kind::kCopyUnderWay, text.str());
  }
  text << ", which " << otherThread << (conflict.otherWrote ? " wrote" : " read") << " with no barrier between";
  fail(kind::kSharedRace, text.str());
}

// ---- global memory ----

void Execution::count(uintptr_t address, size_t bytes, bool write) {
  const Thread& thread = *current_;
  const auto warp = static_cast<uint32_t>(thread.warp - warps_.data());
  log_.add(__builtin_return_address(0), warp * kWarpLanes + thread.index % kWarpLanes, address, bytes, write);
}

void Execution::touchFirst(uint32_t allocation, bool write) {
  seen_[write][allocation % kSeen] = allocation;
  if (touched_ != nullptr) (write ? touched_->written : touched_->read).insert(allocation);
}

// ---- faults ----

std::string Execution::name(const Thread& thread) const {
  return "thread " + std::to_string(thread.index) + " of block " + std::to_string(thread.block->index);
}

std::string Execution::who() const { return "kernel " + kernel_ + ": " + name(*current_); }

void Execution::fail(const char* kind, const std::string& details) { throw Fault(kind, ": " + who() + " " + details); }

void Execution::failAccess(uintptr_t address, size_t bytes, bool write) {
  if (inArena(address)) touch(address, write);  // the reason may be another stream's use of the same memory
  throw diagnose(address, bytes, write, who());
}

// Some threads have come to a barrier that not all will come to.
void Execution::failDivergent(const Barrier& barrier, const std::string& why) {
  std::ostringstream text;
  text << ": kernel " << kernel_ << ": " << name(threads_[barrier.firstArrived]) << " is at " << nameOf(barrier.primitive) << ", but "
       << why;
  throw Fault(kindOf(barrier.primitive), text.str());
}

// All threads wait, for different things. The smallest group of them says most, unless it waits for one that waits for arrivals.
void Execution::failStuck() {
  const auto check = [this](const Barrier& barrier) {
    const auto lacks = [&](const Awaiting& one) { return one.thread - barrier.first < barrier.threads; };
    if (barrier.arrived == 0 || std::any_of(awaiting_.begin(), awaiting_.end(), lacks)) return;
    failDivergent(barrier, "only " + std::to_string(barrier.arrived) + " of " + std::to_string(barrier.threads) + " threads come to it");
  };
  for (const Warp& warp : warps_) check(warp.barrier);
  for (uint32_t i = 0; i < grid_.threads / shape_.block; ++i) check(blocks_[i]->barrier);
  for (const Cluster& cluster : clusters_) check(cluster.barrier);
  check(grid_);
  if (awaiting_.empty()) std::abort();  // a thread that waits is at one of these barriers
  failAwaiting(awaiting_.front());
}

void Execution::failAwaiting(const Awaiting& awaiting) {
  std::ostringstream text;
  text << ": kernel " << kernel_ << ": " << name(threads_[awaiting.thread]) << " waits until the counter at " << awaiting.counter
       << " has reached " << awaiting.arrivals << ", but it is " << valueOf(awaiting.counter) << " and nobody is left to arrive";
  throw Fault(kind::kArrivalDeadlock, text.str());
}

void runGrid(const char* kernel, const GridShape& shape, const std::function<void()>& threadBody, uint64_t seed, Touched* touched) {
  static thread_local Execution own;
  execution = &own;
  own.run(kernel, shape, threadBody, seed, touched);
}

}  // namespace cuda_batchnorm::emulator
