// What a kernel, or host code with device memory, did wrong, in words.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace cuda_batchnorm::emulator {

class Fault : public std::runtime_error {
 public:
  // The message is the kind, then the details.
  Fault(const std::string& kind, const std::string& details) : std::runtime_error(kind + details), kind_(kind) {}

  // One of those below.
  const std::string& kind() const { return kind_; }

 private:
  std::string kind_;
};

namespace kind {
constexpr char kOutOfBoundsRead[] = "out-of-bounds read";
constexpr char kOutOfBoundsWrite[] = "out-of-bounds write";
constexpr char kUseAfterFree[] = "use after free";
constexpr char kUninitialisedRead[] = "uninitialised read";
constexpr char kMisalignedAccess[] = "misaligned access";
constexpr char kSharedRace[] = "shared memory race";
constexpr char kSharedOutOfBounds[] = "shared memory out of bounds";
constexpr char kSharedUninitialised[] = "uninitialised shared memory";
constexpr char kCopyUnderWay[] = "shared memory that a copy is under way to";
constexpr char kCopyUnawaited[] = "copy to shared memory that was not waited for";
constexpr char kSharedEnded[] = "shared memory of a block that has ended";
constexpr char kDivergentShuffle[] = "divergent shuffle";  // of any primitive of a warp
constexpr char kDivergentBarrier[] = "divergent barrier";  // of a block
constexpr char kClusterLeft[] = "use of a cluster that was left";
constexpr char kClusterDeadlock[] = "deadlock in a cluster barrier";
constexpr char kGridDeadlock[] = "deadlock in a grid barrier";
constexpr char kArrivalDeadlock[] = "deadlock in a wait for arrivals";
constexpr char kNotCooperative[] = "grid barrier without a cooperative launch";
constexpr char kLibrary[] = "misuse of a library";
constexpr char kBadFree[] = "free of what is not allocated";
}  // namespace kind

}  // namespace cuda_batchnorm::emulator
