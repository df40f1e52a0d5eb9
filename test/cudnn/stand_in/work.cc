#include "work.h"

#include <cstdint>

namespace cuda_batchnorm::cudnn {
namespace {

constexpr size_t kSpaceAlignment = 16;

double factorAt(const Problem& problem, const void* factor) {
  if (factor == nullptr) complain("a scaling factor is null");
  return load(static_cast<const char*>(factor), problem.x.type == DataType::Double ? DataType::Double : DataType::Float, 0);
}

CudaStream claimStream(Handle handle) {
  CudaStream stream = nullptr;
  handles().change(handle, [&](HandleStruct& object) {
    if (!object.stream) object.stream = nullptr;
    stream = *object.stream;
  });
  return stream;
}

}  // namespace

Slot Work::add(const char* name, const void* memory, size_t bytes, size_t alignment, Access access) {
  if (memory == nullptr) complain(std::string(name) + " is null");
  if (reinterpret_cast<uintptr_t>(memory) % alignment != 0) {
    complain(std::string(name) + " is misaligned: its address must be a multiple of " + std::to_string(alignment));
  }
  regions_.push_back({name, memory, bytes, access});
  return regions_.size() - 1;
}

Slot Work::tensor(const char* name, TensorDescriptor descriptor, const void* memory, Access access) {
  requireLikeX(problem_, descriptor, name);
  return add(name, memory, problem_.x.bytes(), sizeOf(problem_.x.type), access);
}

Slot Work::parameter(const char* name, const void* memory, Access access) {
  const Shape parameters = parametersOf(problem_.x, problem_.mode);
  return add(name, memory, parameters.bytes(), sizeOf(parameters.type), access);
}

void Work::optionalPair(const char* first, const void* firstMemory, Slot& firstSlot, const char* second, const void* secondMemory,
                        Slot& secondSlot, Access access) {
  if (firstMemory == nullptr && secondMemory == nullptr) return;
  if (firstMemory == nullptr || secondMemory == nullptr) {
    const bool without = secondMemory == nullptr;
    complain(std::string(without ? first : second) + " is given without " + (without ? second : first));
  }
  firstSlot = parameter(first, firstMemory, access);
  secondSlot = parameter(second, secondMemory, access);
}

Slot Work::space(const char* name, const void* memory, size_t given, size_t needed, Access access) {
  if (needed == 0) return std::nullopt;
  if (given < needed) complain(std::string(name) + " has " + std::to_string(given) + " bytes, " + std::to_string(needed) + " are needed");
  return add(name, memory, needed, kSpaceAlignment, access);
}

void Work::queue(const std::function<std::string(const Memory&)>& run) {
  const auto counted = [run](const std::vector<char*>& addresses) {
    std::string wrong = run(Memory(addresses));
    if (!wrong.empty()) countComplaint();
    return wrong;
  };
  const auto stream = static_cast<cudaStream_t>(claimStream(handle_));
  std::string why;
  const cudaError_t error = loadedEmulator()->queueWork({function_, stream, regions_, counted}, &why);
  if (error == cudaErrorInvalidValue || error == cudaErrorInvalidResourceHandle) complain(why);
  if (error != cudaSuccess) throw Refusal(kExecutionFailed, why);
}

Blend blendOf(const Problem& problem, const void* alpha, const void* beta) { return {factorAt(problem, alpha), factorAt(problem, beta)}; }

void requireEpsilon(double epsilon) {
  if (!(epsilon >= 0)) complain("epsilon is " + std::to_string(epsilon));
}

}  // namespace cuda_batchnorm::cudnn
