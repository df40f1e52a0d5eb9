#include "checks.h"

#include <map>
#include <mutex>

namespace cuda_batchnorm::stand_in {
namespace {

using namespace cudnn;

bool isFused(Ops ops) { return ops != Ops::Plain; }

void requireSupported(Mode mode, Ops ops, const TensorStruct& x, ActivationDescriptor activation) {
  if (mode == Mode::SpatialPersistent && x.type == DataType::Double) throw notSupported("the persistent mode has no doubles");
  if (!isFused(ops)) return;
  if (x.format != Format::NHWC || mode != Mode::SpatialPersistent) {
    throw notSupported("fused operations are of the persistent mode and of tensors in NHWC");
  }
  if (complete(activation).mode != ActivationMode::Relu) throw notSupported("fused operations have no activation but RELU");
}

DataType parameterType(DataType type) { return type == DataType::Double ? DataType::Double : DataType::Float; }

std::mutex mutex;
std::map<const void*, Problem> savedBy;     // by the saved mean
std::map<const void*, Problem> reservedBy;  // by the reserve space

bool isSame(const Problem& one, const Problem& other) {
  return one.tensor == other.tensor && one.mode == other.mode && one.ops == other.ops;
}

const Problem* find(const std::map<const void*, Problem>& problems, const void* memory) {
  const auto found = problems.find(memory);
  return found == problems.end() ? nullptr : &found->second;
}

}  // namespace

Problem problemOf(Mode mode, Ops ops, TensorDescriptor x, ActivationDescriptor activation) {
  Problem problem;
  problem.tensor = complete(x, "xDesc");
  if (problem.tensor.derived) throw badParameter("xDesc is a descriptor of parameters");
  problem.mode = mode;
  problem.ops = ops;
  requireSupported(mode, ops, problem.tensor, activation);
  return problem;
}

void requireLike(const Problem& problem, TensorDescriptor descriptor, const char* name) {
  const TensorStruct& tensor = complete(descriptor, name);
  if (!(tensor == problem.tensor))
    throw badParameter(std::string(name) + " is " + tensor.words() + ", and xDesc " + problem.tensor.words());
}

void requireParameters(const Problem& problem, TensorDescriptor descriptor) {
  constexpr char kName[] = "bnScaleBiasMeanVarDesc";
  const TensorStruct& tensor = complete(descriptor, kName);
  if (!tensor.derived) throw badParameter(std::string(kName) + " was not derived from a tensor's");
  if (tensor.mode != problem.mode) throw badParameter(std::string(kName) + " was derived for another mode");
  const DataType type = parameterType(problem.tensor.type);
  if (tensor.type != type) throw badParameter(std::string(kName) + " has a type that does not go with the tensor's");
  const bool each = problem.mode == Mode::PerActivation;
  const bool fits = tensor.n == 1 && tensor.c == problem.tensor.c && tensor.h == (each ? problem.tensor.h : 1) &&
                    tensor.w == (each ? problem.tensor.w : 1);
  if (!fits) throw badParameter(std::string(kName) + " is " + tensor.words() + ", and xDesc " + problem.tensor.words());
}

void requireEpsilon(double epsilon) {
  if (!(epsilon >= 0)) throw badParameter("epsilon is less than CUDNN_BN_MIN_EPSILON");
}

size_t workspaceBytes(const Problem& problem) {
  if (problem.mode != Mode::SpatialPersistent) return 0;
  return 256 + 16 * static_cast<size_t>(problem.tensor.c);
}

// One bit for each element, in words of 32, behind a header.
size_t reserveBytes(const Problem& problem) {
  constexpr size_t kHeader = 64;
  if (problem.mode != Mode::SpatialPersistent) return 0;
  const size_t words = isFused(problem.ops) ? (static_cast<size_t>(problem.tensor.size()) + 31) / 32 : 0;
  return kHeader + 4 * words;
}

void requireSpace(const void* memory, size_t bytes, size_t needed, const char* name) {
  if (needed > 0 && memory == nullptr)
    throw badParameter(std::string(name) + " is null and " + std::to_string(needed) + " bytes are needed");
  if (bytes < needed)
    throw badParameter(std::string(name) + " has " + std::to_string(bytes) + " bytes, and " + std::to_string(needed) + " are needed");
}

Blend blendOf(const void* alpha, const void* beta, DataType type) {
  if (alpha == nullptr || beta == nullptr) throw badParameter("alpha or beta is null");
  if (type == DataType::Double) return {*static_cast<const double*>(alpha), *static_cast<const double*>(beta)};
  return {static_cast<double>(*static_cast<const float*>(alpha)), static_cast<double>(*static_cast<const float*>(beta))};
}

void remember(const Problem& problem, const void* savedMean, const void* reserve) {
  const std::lock_guard<std::mutex> lock(mutex);
  savedBy[savedMean] = problem;
  if (reserve != nullptr) reservedBy[reserve] = problem;
}

void requireRemembered(const Problem& problem, const void* savedMean, const void* reserve) {
  const std::lock_guard<std::mutex> lock(mutex);
  const Problem* const saved = find(savedBy, savedMean);
  if (saved == nullptr || !isSame(*saved, problem)) throw badParameter("savedMean was not saved by a forward pass of this problem");
  if (saved->epsilon != problem.epsilon) throw badParameter("epsilon is another one than in the forward pass");
  if (reserveBytes(problem) == 0) return;
  const Problem* const reserved = find(reservedBy, reserve);
  if (reserved == nullptr || !isSame(*reserved, problem))
    throw badParameter("reserveSpace was not filled by a forward pass of this problem");
}

}  // namespace cuda_batchnorm::stand_in
