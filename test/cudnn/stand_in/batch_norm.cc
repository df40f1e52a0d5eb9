// The entry points of batch normalization: each checks its arguments and queues the arithmetic.
#include <algorithm>
#include <cstring>

#include "checks.h"
#include "device.h"
#include "entry.h"

using namespace cuda_batchnorm::stand_in;
using namespace cuda_batchnorm::cudnn;
using cuda_batchnorm::emulator::Region;

namespace {

enum Access { kRead = 1, kWrite = 2, kUpdate = 3 };

// Memory of one call, in the order in which the work will get it.
class Memory {
 public:
  // Returns the place among the regions; -1 for memory that the call does without.
  int add(const void* memory, size_t bytes, Access access, const char* name) {
    requireMemory(memory, bytes, name);
    regions_.push_back({memory, bytes, (access & kRead) != 0, (access & kWrite) != 0});
    return static_cast<int>(regions_.size()) - 1;
  }
  int addTensor(const Problem& problem, const void* memory, Access access, const char* name) {
    const size_t element = sizeOf(problem.tensor.type);
    requireAligned(memory, element, name);
    return add(memory, static_cast<size_t>(problem.tensor.size()) * element, access, name);
  }
  int addVector(const Problem& problem, const void* memory, Access access, const char* name) {
    const size_t element = sizeOf(parameterType(problem));
    requireAligned(memory, element, name);
    return add(memory, problem.statistics() * element, access, name);
  }
  int addSpace(const void* memory, size_t bytes, Access access, const char* name) {
    return bytes == 0 ? -1 : add(memory, bytes, access, name);
  }

  const std::vector<Region>& regions() const { return regions_; }

  static DataType parameterType(const Problem& problem) {
    return problem.tensor.type == DataType::Double ? DataType::Double : DataType::Float;
  }

 private:
  static void requireAligned(const void* memory, size_t bytes, const char* name) {
    if (reinterpret_cast<uintptr_t>(memory) % bytes != 0) throw badParameter(std::string(name) + " is misaligned");
  }

  std::vector<Region> regions_;
};

// The regions as the arithmetic takes them.
class Bytes {
 public:
  Bytes(const Problem& problem, const std::vector<char*>& bytes) : problem_(problem), bytes_(bytes) {}
  Values tensor(int place) const { return place < 0 ? Values() : Values(at(place), problem_.tensor.type); }
  Values vector(int place) const { return place < 0 ? Values() : Values(at(place), Memory::parameterType(problem_)); }
  char* at(int place) const { return bytes_[static_cast<size_t>(place)]; }

 private:
  const Problem& problem_;
  const std::vector<char*>& bytes_;
};

constexpr size_t kHeader = 64;
constexpr char kMagic[] = "filled by a forward pass of the stand-in";

unsigned char* signsOf(const Problem& problem, char* reserve) {
  return problem.ops == Ops::Plain ? nullptr : reinterpret_cast<unsigned char*>(reserve + kHeader);
}

void spoil(char* memory, size_t bytes) { std::fill(memory, memory + bytes, '\x5a'); }

void requireFilled(const char* reserve) {
  if (std::strcmp(reserve, kMagic) == 0) return;
  throw cuda_batchnorm::emulator::Fault(cuda_batchnorm::emulator::kind::kUninitialisedRead, " of a reserve space that was written over");
}

bool isAdded(Ops ops) { return ops == Ops::AddActivation; }

}  // namespace

CUDNN_EXPORT Status cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(Handle handle, Mode mode, Ops ops, TensorDescriptor x,
                                                                             TensorDescriptor z, TensorDescriptor y,
                                                                             TensorDescriptor parameters, ActivationDescriptor activation,
                                                                             size_t* bytes) {
  return enter("cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize", [&] {
    living(handle);
    const Problem problem = problemOf(mode, ops, x, activation);
    if (isAdded(ops)) requireLike(problem, z, "zDesc");
    requireLike(problem, y, "yDesc");
    requireParameters(problem, parameters);
    *bytes = workspaceBytes(problem);
  });
}

CUDNN_EXPORT Status cudnnGetBatchNormalizationBackwardExWorkspaceSize(Handle handle, Mode mode, Ops ops, TensorDescriptor x,
                                                                      TensorDescriptor y, TensorDescriptor dy, TensorDescriptor dz,
                                                                      TensorDescriptor dx, TensorDescriptor parameters,
                                                                      ActivationDescriptor activation, size_t* bytes) {
  return enter("cudnnGetBatchNormalizationBackwardExWorkspaceSize", [&] {
    living(handle);
    const Problem problem = problemOf(mode, ops, x, activation);
    requireLike(problem, y, "yDesc");
    requireLike(problem, dy, "dyDesc");
    if (isAdded(ops)) requireLike(problem, dz, "dzDesc");
    requireLike(problem, dx, "dxDesc");
    requireParameters(problem, parameters);
    *bytes = workspaceBytes(problem);
  });
}

CUDNN_EXPORT Status cudnnGetBatchNormalizationTrainingExReserveSpaceSize(Handle handle, Mode mode, Ops ops, ActivationDescriptor activation,
                                                                         TensorDescriptor x, size_t* bytes) {
  return enter("cudnnGetBatchNormalizationTrainingExReserveSpaceSize", [&] {
    living(handle);
    *bytes = reserveBytes(problemOf(mode, ops, x, activation));
  });
}

CUDNN_EXPORT Status cudnnBatchNormalizationForwardTrainingEx(Handle handle, Mode mode, Ops ops, const void* alpha, const void* beta,
                                                             TensorDescriptor xDesc, const void* x, TensorDescriptor zDesc, const void* z,
                                                             TensorDescriptor yDesc, void* y, TensorDescriptor parametersDesc,
                                                             const void* scale, const void* bias, double averageFactor, void* runningMean,
                                                             void* runningVariance, double epsilon, void* savedMean, void* savedInvVariance,
                                                             ActivationDescriptor activation, void* workspace, size_t workspaceSize,
                                                             void* reserve, size_t reserveSize) {
  return enter("cudnnBatchNormalizationForwardTrainingEx", [&] {
    living(handle);
    Problem problem = problemOf(mode, ops, xDesc, activation);
    if (isAdded(ops)) requireLike(problem, zDesc, "zDesc");
    requireLike(problem, yDesc, "yDesc");
    requireParameters(problem, parametersDesc);
    requireEpsilon(epsilon);
    problem.epsilon = epsilon;
    if ((runningMean == nullptr) != (runningVariance == nullptr)) throw badParameter("one of running mean and variance is null");
    if ((savedMean == nullptr) != (savedInvVariance == nullptr)) throw badParameter("one of savedMean and savedInvVariance is null");
    const size_t workspaceUsed = workspaceBytes(problem);
    const size_t reserveUsed = reserveBytes(problem);
    requireSpace(workspace, workspaceSize, workspaceUsed, "workspace");
    requireSpace(reserve, reserveSize, reserveUsed, "reserveSpace");

    Forward call;
    call.problem = problem;
    call.averageFactor = averageFactor;
    call.blend = blendOf(alpha, beta, problem.tensor.type);
    Memory memory;
    const int xAt = memory.addTensor(problem, x, kRead, "x");
    const int zAt = isAdded(ops) ? memory.addTensor(problem, z, kRead, "z") : -1;
    const int yAt = memory.addTensor(problem, y, call.blend.beta == 0 ? kWrite : kUpdate, "y");
    const int scaleAt = memory.addVector(problem, scale, kRead, "bnScale");
    const int biasAt = memory.addVector(problem, bias, kRead, "bnBias");
    const int savedMeanAt = memory.addVector(problem, savedMean, kWrite, "savedMean");
    const int savedInvAt = memory.addVector(problem, savedInvVariance, kWrite, "savedInvVariance");
    const int runningMeanAt = runningMean == nullptr ? -1 : memory.addVector(problem, runningMean, kUpdate, "runningMean");
    const int runningVarAt = runningMean == nullptr ? -1 : memory.addVector(problem, runningVariance, kUpdate, "runningVariance");
    const int workspaceAt = memory.addSpace(workspace, workspaceUsed, kWrite, "workspace");
    const int reserveAt = memory.addSpace(reserve, reserveUsed, kWrite, "reserveSpace");
    queue(handle, "cudnnBatchNormalizationForwardTrainingEx", memory.regions(), [=](const std::vector<char*>& regions) {
      const Bytes bytes(call.problem, regions);
      Forward work = call;
      work.x = bytes.tensor(xAt);
      work.z = bytes.tensor(zAt);
      work.y = bytes.tensor(yAt);
      work.scale = bytes.vector(scaleAt);
      work.bias = bytes.vector(biasAt);
      work.savedMean = bytes.vector(savedMeanAt);
      work.savedInvVariance = bytes.vector(savedInvAt);
      work.runningMean = bytes.vector(runningMeanAt);
      work.runningVariance = bytes.vector(runningVarAt);
      if (workspaceAt >= 0) spoil(bytes.at(workspaceAt), workspaceUsed);
      if (reserveAt >= 0) {
        spoil(bytes.at(reserveAt), reserveUsed);
        std::memcpy(bytes.at(reserveAt), kMagic, sizeof kMagic);
        work.signs = signsOf(work.problem, bytes.at(reserveAt));
      }
      forwardTraining(work);
    });
    remember(problem, savedMean, reserve);
  });
}

CUDNN_EXPORT Status cudnnBatchNormalizationForwardInference(Handle handle, Mode mode, const void* alpha, const void* beta,
                                                            TensorDescriptor xDesc, const void* x, TensorDescriptor yDesc, void* y,
                                                            TensorDescriptor parametersDesc, const void* scale, const void* bias,
                                                            const void* mean, const void* variance, double epsilon) {
  return enter("cudnnBatchNormalizationForwardInference", [&] {
    living(handle);
    Problem problem = problemOf(mode, Ops::Plain, xDesc, nullptr);
    requireLike(problem, yDesc, "yDesc");
    requireParameters(problem, parametersDesc);
    requireEpsilon(epsilon);
    problem.epsilon = epsilon;

    Inference call;
    call.problem = problem;
    call.blend = blendOf(alpha, beta, problem.tensor.type);
    Memory memory;
    const int xAt = memory.addTensor(problem, x, kRead, "x");
    const int yAt = memory.addTensor(problem, y, call.blend.beta == 0 ? kWrite : kUpdate, "y");
    const int scaleAt = memory.addVector(problem, scale, kRead, "bnScale");
    const int biasAt = memory.addVector(problem, bias, kRead, "bnBias");
    const int meanAt = memory.addVector(problem, mean, kRead, "estimatedMean");
    const int varianceAt = memory.addVector(problem, variance, kRead, "estimatedVariance");
    queue(handle, "cudnnBatchNormalizationForwardInference", memory.regions(), [=](const std::vector<char*>& regions) {
      const Bytes bytes(call.problem, regions);
      Inference work = call;
      work.x = bytes.tensor(xAt);
      work.y = bytes.tensor(yAt);
      work.scale = bytes.vector(scaleAt);
      work.bias = bytes.vector(biasAt);
      work.mean = bytes.vector(meanAt);
      work.variance = bytes.vector(varianceAt);
      forwardInference(work);
    });
  });
}

CUDNN_EXPORT Status cudnnBatchNormalizationBackwardEx(Handle handle, Mode mode, Ops ops, const void* alphaData, const void* betaData,
                                                      const void* alphaParameters, const void* betaParameters, TensorDescriptor xDesc,
                                                      const void* x, TensorDescriptor yDesc, const void* y, TensorDescriptor dyDesc,
                                                      const void* dy, TensorDescriptor dzDesc, void* dz, TensorDescriptor dxDesc, void* dx,
                                                      TensorDescriptor parametersDesc, const void* scale, const void* bias, void* dscale,
                                                      void* dbias, double epsilon, const void* savedMean, const void* savedInvVariance,
                                                      ActivationDescriptor activation, void* workspace, size_t workspaceSize, void* reserve,
                                                      size_t reserveSize) {
  return enter("cudnnBatchNormalizationBackwardEx", [&] {
    living(handle);
    Problem problem = problemOf(mode, ops, xDesc, activation);
    requireLike(problem, dyDesc, "dyDesc");
    requireLike(problem, dxDesc, "dxDesc");
    if (ops != Ops::Plain) requireLike(problem, yDesc, "yDesc");
    if (isAdded(ops)) requireLike(problem, dzDesc, "dzDesc");
    requireParameters(problem, parametersDesc);
    requireEpsilon(epsilon);
    problem.epsilon = epsilon;
    const size_t workspaceUsed = workspaceBytes(problem);
    const size_t reserveUsed = reserveBytes(problem);
    requireSpace(workspace, workspaceSize, workspaceUsed, "workspace");
    requireSpace(reserve, reserveSize, reserveUsed, "reserveSpace");
    requireRemembered(problem, savedMean, reserve);

    Backward call;
    call.problem = problem;
    call.data = blendOf(alphaData, betaData, problem.tensor.type);
    call.parameters = blendOf(alphaParameters, betaParameters, problem.tensor.type);
    const Access data = call.data.beta == 0 ? kWrite : kUpdate;
    const Access parameters = call.parameters.beta == 0 ? kWrite : kUpdate;
    Memory memory;
    const int xAt = memory.addTensor(problem, x, kRead, "x");
    const int dyAt = memory.addTensor(problem, dy, kRead, "dy");
    if (ops != Ops::Plain) {
      memory.addTensor(problem, y, kRead, "y");
      memory.addVector(problem, bias, kRead, "bnBias");
    }
    const int dzAt = isAdded(ops) ? memory.addTensor(problem, dz, data, "dz") : -1;
    const int dxAt = memory.addTensor(problem, dx, data, "dx");
    const int scaleAt = memory.addVector(problem, scale, kRead, "bnScale");
    const int dscaleAt = memory.addVector(problem, dscale, parameters, "dBnScale");
    const int dbiasAt = memory.addVector(problem, dbias, parameters, "dBnBias");
    const int savedMeanAt = memory.addVector(problem, savedMean, kRead, "savedMean");
    const int savedInvAt = memory.addVector(problem, savedInvVariance, kRead, "savedInvVariance");
    const int workspaceAt = memory.addSpace(workspace, workspaceUsed, kWrite, "workspace");
    const int reserveAt = memory.addSpace(reserve, reserveUsed, kRead, "reserveSpace");
    queue(handle, "cudnnBatchNormalizationBackwardEx", memory.regions(), [=](const std::vector<char*>& regions) {
      const Bytes bytes(call.problem, regions);
      Backward work = call;
      work.x = bytes.tensor(xAt);
      work.dy = bytes.tensor(dyAt);
      work.dz = bytes.tensor(dzAt);
      work.dx = bytes.tensor(dxAt);
      work.scale = bytes.vector(scaleAt);
      work.dscale = bytes.vector(dscaleAt);
      work.dbias = bytes.vector(dbiasAt);
      work.savedMean = bytes.vector(savedMeanAt);
      work.savedInvVariance = bytes.vector(savedInvAt);
      if (workspaceAt >= 0) spoil(bytes.at(workspaceAt), workspaceUsed);
      if (reserveAt >= 0) {
        requireFilled(bytes.at(reserveAt));
        work.signs = signsOf(work.problem, bytes.at(reserveAt));
      }
      backward(work);
    });
  });
}
