// The stand-in is right where it is used as cuDNN's documents say, and complains where it is not.
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <cmath>
#include <string>
#include <vector>

#include "../../native/cudnn/abi.h"
#include "../native/check.h"
#include "stand_in/hooks.h"

namespace {

using namespace cuda_batchnorm::cudnn;

void* library = nullptr;
Functions cudnn;

void open(const char* path) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != nullptr);
#define RESOLVE(name, ...)                                                                       \
  cudnn.name = reinterpret_cast<std::add_pointer_t<__VA_ARGS__>>(dlsym(library, "cudnn" #name)); \
  CHECK(cudnn.name != nullptr);
  CUDA_BATCHNORM_CUDNN_FUNCTIONS(RESOLVE)
#undef RESOLVE
}

template <class Function>
Function* hook(const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

std::string lastWords() {
  char words[512];
  cudnn.GetLastErrorString(words, sizeof words);
  return words;
}

size_t refusals = 0;

// The call is refused, in these words.
void refused(Status status, Status category, const std::string& words) {
  const std::string said = lastWords();
  ++refusals;
  if (status / 1000 * 1000 != category || said.find(words) == std::string::npos) {
    std::fprintf(stderr, "expected %d with \"%s\" but got %d with \"%s\"\n", category, words.c_str(), status, said.c_str());
    CHECK(false);
  }
}

#define OK(call) CHECK((call) == kSuccess)
#define CUDA_OK(call) CHECK((call) == cudaSuccess)

class Floats {
 public:
  explicit Floats(const std::vector<float>& values) : count_(values.size()) {
    CUDA_OK(cudaMalloc(&memory_, count_ * sizeof(float)));
    CUDA_OK(cudaMemcpy(memory_, values.data(), count_ * sizeof(float), cudaMemcpyHostToDevice));
  }
  ~Floats() { CUDA_OK(cudaFree(memory_)); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;

  float* get() const { return static_cast<float*>(memory_); }
  std::vector<float> read() const {
    std::vector<float> values(count_);
    CUDA_OK(cudaMemcpy(values.data(), memory_, count_ * sizeof(float), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t count_;
  void* memory_ = nullptr;
};

bool close(const std::vector<float>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return false;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!(std::fabs(actual[i] - expected[i]) <= 1e-5f)) return false;
  }
  return true;
}

// A problem of 4 rows of 2 channels, NHWC: {1, 10}, {2, 20}, {3, 30}, {6, 60}, whose means are 3 and 30, and variances 3.5 and 350.
struct Setup {
  Setup() {
    CUDA_OK(cudaStreamCreate(&stream));
    OK(cudnn.Create(&handle));
    OK(cudnn.SetStream(handle, stream));
    OK(cudnn.CreateTensorDescriptor(&tensor));
    OK(cudnn.SetTensor4dDescriptor(tensor, Format::NHWC, DataType::Float, 4, 2, 1, 1));
    OK(cudnn.CreateTensorDescriptor(&parameters));
    OK(cudnn.DeriveBNTensorDescriptor(parameters, tensor, mode));
    OK(cudnn.CreateActivationDescriptor(&activation));
    OK(cudnn.SetActivationDescriptor(activation, ActivationMode::Relu, NanPropagation::Yes, 0));
  }
  ~Setup() {
    OK(cudnn.DestroyActivationDescriptor(activation));
    OK(cudnn.DestroyTensorDescriptor(parameters));
    OK(cudnn.DestroyTensorDescriptor(tensor));
    OK(cudnn.Destroy(handle));
    CUDA_OK(cudaStreamDestroy(stream));
  }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;

  size_t workspaceBytes() const {
    size_t bytes = 0;
    OK(cudnn.GetBatchNormalizationForwardTrainingExWorkspaceSize(handle, mode, ops, tensor, tensor, tensor, parameters, activation,
                                                                 &bytes));
    return bytes;
  }
  size_t reserveBytes() const {
    size_t bytes = 0;
    OK(cudnn.GetBatchNormalizationTrainingExReserveSpaceSize(handle, mode, ops, activation, tensor, &bytes));
    return bytes;
  }

  Status forward() { return forwardOf(tensor, parameters, x.get(), reserve.get(), reserveBytes(), workspaceBytes(), running.get()); }
  Status forwardOf(TensorDescriptor yDesc, TensorDescriptor parametersDesc, const float* input, float* reserved, size_t reservedBytes,
                   size_t workspaceSize, float* runningMean) {
    return cudnn.BatchNormalizationForwardTrainingEx(handle, mode, ops, &one, &zero, tensor, input, tensor, z.get(), yDesc, y.get(),
                                                     parametersDesc, scale.get(), bias.get(), 0.5, runningMean, running.get() + 2, eps,
                                                     saved.get(), saved.get() + 2, activation, workspace.get(), workspaceSize, reserved,
                                                     reservedBytes);
  }
  Status backward() { return backwardOf(reserve.get(), reserveBytes(), eps, y.get()); }
  Status backwardOf(float* reserved, size_t reservedBytes, double epsilon, const float* output) {
    return cudnn.BatchNormalizationBackwardEx(handle, mode, ops, &one, &zero, &one, &zero, tensor, x.get(), tensor, output, tensor,
                                              dy.get(), tensor, dz.get(), tensor, dx.get(), parameters, scale.get(), bias.get(),
                                              gradients.get(), gradients.get() + 2, epsilon, saved.get(), saved.get() + 2, activation,
                                              workspace.get(), workspaceBytes(), reserved, reservedBytes);
  }

  Mode mode = Mode::SpatialPersistent;
  Ops ops = Ops::AddActivation;
  double eps = 0.5;
  float one = 1, zero = 0;
  cudaStream_t stream = nullptr;
  Handle handle = nullptr;
  TensorDescriptor tensor = nullptr;
  TensorDescriptor parameters = nullptr;
  ActivationDescriptor activation = nullptr;
  Floats x{{1, 10, 2, 20, 3, 30, 6, 60}};
  Floats z{{0, 0, 0, 5, -5, 0, 0, 0}};
  Floats y{std::vector<float>(8)}, dx{std::vector<float>(8)}, dz{std::vector<float>(8)};
  Floats dy{{1, 1, 1, 1, 1, 1, 1, 3}};
  Floats scale{{2, 1}}, bias{{0, 1}};
  Floats running{{0, 0, 1, 1}}, saved{std::vector<float>(4)}, gradients{std::vector<float>(4)};
  Floats workspace{std::vector<float>(256)}, reserve{std::vector<float>(64)};
};

void computesBatchNormalization() {
  Setup setup;
  OK(setup.forward());
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  const float first = 1 / std::sqrt(3.5f + 0.5f);
  const float second = 1 / std::sqrt(350.0f + 0.5f);
  CHECK(close(setup.saved.read(), {3, 30, first, second}));
  // Half of the new value; the unbiased variance is 4/3 of the biased one.
  CHECK(close(setup.running.read(), {1.5f, 15, 0.5f + 0.5f * 3.5f * 4 / 3, 0.5f + 0.5f * 350 * 4 / 3}));
  // Before the activation: -2, 1 - 20s, -1, 6 - 10s, -5, 1, 3, 1 + 30s.
  CHECK(close(setup.y.read(), {0, 0, 0, 6 - 10 * second, 0, 1, 3, 1 + 30 * second}));

  OK(setup.backward());
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  CHECK(close(setup.dz.read(), {0, 0, 0, 1, 0, 1, 1, 3}));
  const float scale1 = 3 * first;  // the sum of dz times the normalized value
  const float scale2 = -10 * second + 90 * second;
  CHECK(close(setup.gradients.read(), {scale1, scale2, 1, 5}));
  std::vector<float> dx(8);
  const std::vector<float> x = setup.x.read();
  const std::vector<float> dz = setup.dz.read();
  for (size_t i = 0; i < 8; ++i) {
    const bool even = i % 2 == 0;
    const float inverse = even ? first : second;
    const float normalized = (x[i] - (even ? 3.0f : 30.0f)) * inverse;
    dx[i] = (even ? 2.0f : 1.0f) * inverse * (dz[i] - ((even ? 1.0f : 5.0f) + normalized * (even ? scale1 : scale2)) / 4);
  }
  CHECK(close(setup.dx.read(), dx));

  Floats output(std::vector<float>(8));
  OK(cudnn.BatchNormalizationForwardInference(setup.handle, setup.mode, &setup.one, &setup.zero, setup.tensor, setup.x.get(), setup.tensor,
                                              output.get(), setup.parameters, setup.scale.get(), setup.bias.get(), setup.saved.get(),
                                              setup.scale.get(), 0));
  CUDA_OK(cudaStreamSynchronize(setup.stream));
  CHECK(std::fabs(output.read()[0] - 2 * (1 - 3) / std::sqrt(2.0f)) < 1e-5f);
}

void complainsOfDescriptors() {
  Setup setup;
  TensorDescriptor other = nullptr;
  OK(cudnn.CreateTensorDescriptor(&other));
  const auto forwardTo = [&](TensorDescriptor y) {
    return setup.forwardOf(y, setup.parameters, setup.x.get(), setup.reserve.get(), 256, 1024, setup.running.get());
  };
  refused(forwardTo(other), kBadParameter, "yDesc was never set");
  OK(cudnn.SetTensor4dDescriptor(other, Format::NHWC, DataType::Float, 4, 3, 1, 1));
  refused(forwardTo(other), kBadParameter, "yDesc is NHWC 4x3x1x1");
  OK(cudnn.SetTensor4dDescriptor(other, Format::NHWC, DataType::Half, 4, 2, 1, 1));
  refused(forwardTo(other), kBadParameter, "yDesc is NHWC 4x2x1x1 of type 2");
  OK(cudnn.SetTensor4dDescriptor(other, Format::NCHW, DataType::Float, 4, 2, 1, 1));
  refused(forwardTo(other), kBadParameter, "yDesc is NCHW");

  const auto forwardWith = [&](TensorDescriptor parameters) {
    return setup.forwardOf(setup.tensor, parameters, setup.x.get(), setup.reserve.get(), 256, 1024, setup.running.get());
  };
  refused(forwardWith(setup.tensor), kBadParameter, "was not derived");
  OK(cudnn.DeriveBNTensorDescriptor(other, setup.tensor, Mode::PerActivation));
  refused(forwardWith(other), kBadParameter, "derived for another mode");
  OK(cudnn.SetTensor4dDescriptor(other, Format::NHWC, DataType::Double, 4, 2, 1, 1));
  OK(cudnn.DeriveBNTensorDescriptor(other, other, setup.mode));
  refused(forwardWith(other), kBadParameter, "a type that does not go with");
  OK(cudnn.SetTensor4dDescriptor(other, Format::NHWC, DataType::Float, 4, 5, 1, 1));
  OK(cudnn.DeriveBNTensorDescriptor(other, other, setup.mode));
  refused(forwardWith(other), kBadParameter, "is NHWC 1x5x1x1");
  OK(cudnn.DestroyTensorDescriptor(other));
  refused(forwardWith(other), kBadParameter, "none that lives");
  refused(cudnn.DestroyTensorDescriptor(other), kBadParameter, "none that lives");
  refused(cudnn.SetTensor4dDescriptor(setup.tensor, Format::NHWC, DataType::Float, 4, 0, 1, 1), kBadParameter, "not positive");
}

void complainsOfSpaces() {
  Setup setup;
  const auto forwardWith = [&](float* reserve, size_t reserveBytes, size_t workspaceBytes) {
    return setup.forwardOf(setup.tensor, setup.parameters, setup.x.get(), reserve, reserveBytes, workspaceBytes, setup.running.get());
  };
  const size_t needed = setup.reserveBytes();
  CHECK(needed > 0 && setup.workspaceBytes() > 0);
  refused(forwardWith(nullptr, needed, 1024), kBadParameter, "reserveSpace is null");
  refused(forwardWith(setup.reserve.get(), needed - 1, 1024), kBadParameter, "reserveSpace has");
  refused(forwardWith(setup.reserve.get(), needed, setup.workspaceBytes() - 1), kBadParameter, "workspace has");
  refused(setup.backward(), kBadParameter, "savedMean was not saved by a forward pass");
  OK(setup.forward());
  refused(setup.backwardOf(nullptr, needed, setup.eps, setup.y.get()), kBadParameter, "reserveSpace is null");
  const Floats forgotten(std::vector<float>(64));
  refused(setup.backwardOf(forgotten.get(), needed, setup.eps, setup.y.get()), kBadParameter, "reserveSpace was not filled");
  refused(setup.backwardOf(setup.reserve.get(), needed, 0.25, setup.y.get()), kBadParameter, "epsilon is another one");
  refused(setup.backwardOf(setup.reserve.get(), needed, setup.eps, nullptr), kBadParameter, "y is null");
  OK(setup.backward());
  CUDA_OK(cudaStreamSynchronize(setup.stream));
}

void complainsOfPointers() {
  Setup setup;
  const auto forwardFrom = [&](const float* x) {
    return setup.forwardOf(setup.tensor, setup.parameters, x, setup.reserve.get(), 256, 1024, setup.running.get());
  };
  refused(forwardFrom(nullptr), kBadParameter, "x is null");
  const float host[8] = {};
  refused(forwardFrom(host), kBadParameter, "x is not 32 bytes of memory of the device");
  refused(forwardFrom(setup.x.get() + 1), kBadParameter, "x is not 32 bytes");
  refused(forwardFrom(reinterpret_cast<const float*>(reinterpret_cast<const char*>(setup.x.get()) + 2)), kBadParameter, "misaligned");
  const auto withoutMean = setup.forwardOf(setup.tensor, setup.parameters, setup.x.get(), setup.reserve.get(), 256, 1024, nullptr);
  refused(withoutMean, kBadParameter, "one of running mean and variance is null");
}

void complainsOfHandles() {
  Setup setup;
  cudaStream_t second = nullptr;
  CUDA_OK(cudaStreamCreate(&second));
  refused(cudnn.SetStream(setup.handle, second), kBadParameter, "used on two streams");
  OK(cudnn.SetStream(setup.handle, setup.stream));
  CUDA_OK(cudaStreamDestroy(second));
  Handle gone = nullptr;
  OK(cudnn.Create(&gone));
  OK(cudnn.Destroy(gone));
  refused(cudnn.SetStream(gone, setup.stream), kBadParameter, "handle is none that lives");
  refused(cudnn.Destroy(gone), kBadParameter, "handle is none that lives");
}

void refusesWhatCudnnHasNot() {
  Setup setup;
  setup.mode = Mode::Spatial;
  size_t bytes = 0;
  const auto reserve = [&](Mode mode, Ops ops) {
    return cudnn.GetBatchNormalizationTrainingExReserveSpaceSize(setup.handle, mode, ops, setup.activation, setup.tensor, &bytes);
  };
  refused(reserve(Mode::Spatial, Ops::Activation), kNotSupported, "fused");
  OK(cudnn.SetActivationDescriptor(setup.activation, ActivationMode::Tanh, NanPropagation::Yes, 0));
  refused(reserve(Mode::SpatialPersistent, Ops::Activation), kNotSupported, "no activation but RELU");
  OK(reserve(Mode::SpatialPersistent, Ops::Plain));
  OK(cudnn.SetTensor4dDescriptor(setup.tensor, Format::NHWC, DataType::Double, 4, 2, 1, 1));
  refused(reserve(Mode::SpatialPersistent, Ops::Plain), kNotSupported, "no doubles");
  refused(cudnn.SetTensor4dDescriptor(setup.tensor, Format::NHWC, DataType::Half, 1 << 16, 1 << 15, 1, 1), kNotSupported, "2^31");
}

// What the emulator knows of streams holds for the library's work too. Ends the test: a device that has failed cannot be taken down in
// order.
[[noreturn]] void isOrderedWithStreams() {
  Setup setup;
  OK(setup.forward());
  cudaStream_t second = nullptr;
  CUDA_OK(cudaStreamCreate(&second));
  CUDA_OK(cudaMemsetAsync(setup.y.get(), 0, 32, second));  // waits for nothing
  CHECK(cudaDeviceSynchronize() != cudaSuccess);
  std::_Exit(0);
}

}  // namespace

int main(int /*argc*/, char** argv) {
  open(argv[1]);
  computesBatchNormalization();
  complainsOfDescriptors();
  complainsOfSpaces();
  complainsOfPointers();
  complainsOfHandles();
  refusesWhatCudnnHasNot();
  CHECK(hook<decltype(standInLivingHandles)>("standInLivingHandles")() == 0);
  CHECK(hook<decltype(standInLivingDescriptors)>("standInLivingDescriptors")() == 0);
  CHECK(hook<decltype(standInComplaints)>("standInComplaints")() == refusals);
  isOrderedWithStreams();
}
