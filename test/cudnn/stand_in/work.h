// What a call reads and writes on the device, checked as it is gathered, and how it is queued there.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "emulator.h"
#include "problem.h"

namespace cuda_batchnorm::cudnn {

using emulator::Access;

// The number of a region; nothing where the caller left it out.
using Slot = std::optional<size_t>;

// The host's addresses when the work runs.
class Memory {
 public:
  explicit Memory(const std::vector<char*>& addresses) : addresses_(addresses) {}
  char* operator[](Slot slot) const { return slot ? addresses_[*slot] : nullptr; }

 private:
  const std::vector<char*>& addresses_;
};

class Work {
 public:
  Work(const char* function, Handle handle, const Problem& problem) : function_(function), handle_(handle), problem_(problem) {}

  Slot tensor(const char* name, TensorDescriptor descriptor, const void* memory, Access access);
  Slot parameter(const char* name, const void* memory, Access access);
  // Both or neither.
  void optionalPair(const char* first, const void* firstMemory, Slot& firstSlot, const char* second, const void* secondMemory,
                    Slot& secondSlot, Access access);
  // Whose size a function tells.
  Slot space(const char* name, const void* memory, size_t given, size_t needed, Access access);

  // What `run` returns is what went wrong.
  void queue(const std::function<std::string(const Memory&)>& run);

 private:
  Slot add(const char* name, const void* memory, size_t bytes, size_t alignment, Access access);

  const char* function_;
  Handle handle_;
  Problem problem_;
  std::vector<emulator::LibraryRegion> regions_;
};

// Factors on the host, of x's type or float.
Blend blendOf(const Problem& problem, const void* alpha, const void* beta);

// Where results are added to what is there, that is read.
inline Access output(const Blend& blend) { return blend.beta == 0 ? Access::Write : Access::ReadWrite; }

void requireEpsilon(double epsilon);

}  // namespace cuda_batchnorm::cudnn
