// The stand-in computes what it should, and every mistake of a caller is told by name.
#include <dlfcn.h>

#include <array>
#include <cmath>
#include <functional>

#include "../../native/core/dtype.h"
#include "../../native/cudnn/abi.h"
#include "../emulator/runtime_test.h"
#include "stand_in/hooks.h"

namespace cuda_batchnorm::cudnn {
namespace {

using emulator::contains;
using emulator::Gate;
using emulator::lastFault;
using emulator::letStreamsWork;
using emulator::newStream;

// ---- the library, as the addon opens it ----

struct Hooks {
  decltype(&standInLivingHandles) livingHandles = nullptr;
  decltype(&standInLivingDescriptors) livingDescriptors = nullptr;
  decltype(&standInComplaints) complaints = nullptr;
  decltype(&standInCalls) calls = nullptr;
  decltype(&standInFailNext) failNext = nullptr;
  decltype(&standInReset) reset = nullptr;
};

Functions library;
Hooks hooks;

template <class Function>
void find(void* opened, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(opened, name));
  CHECK(function != nullptr);
}

void open(const char* path) {
  void* const opened = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) std::fprintf(stderr, "%s\n", dlerror());
  CHECK(opened != nullptr);
#define FIND(name, ...) find(opened, "cudnn" #name, library.name);
  CUDA_BATCHNORM_CUDNN_FUNCTIONS(FIND)
#undef FIND
  find(opened, "standInLivingHandles", hooks.livingHandles);
  find(opened, "standInLivingDescriptors", hooks.livingDescriptors);
  find(opened, "standInComplaints", hooks.complaints);
  find(opened, "standInCalls", hooks.calls);
  find(opened, "standInFailNext", hooks.failNext);
  find(opened, "standInReset", hooks.reset);
}

std::string lastError() {
  std::array<char, 512> words;
  library.GetLastErrorString(words.data(), words.size());
  return words.data();
}

#define WORKS(call)                                         \
  do {                                                      \
    const Status status = (call);                           \
    if (status != kSuccess) std::puts(lastError().c_str()); \
    CHECK(status == kSuccess);                              \
  } while (false)

// The call ends with this status, and these are words of its reason.
void ends(Status expected, const std::string& words, Status status) {
  const std::string told = lastError();
  if (status != expected || !contains(told, words)) std::fprintf(stderr, "status %d: %s\n", status, told.c_str());
  CHECK(status == expected && contains(told, words));
  CHECK(lastError().empty());
}

void isWrong(const std::string& words, Status status) {
  static size_t seen = 0;
  if (hooks.complaints() < seen) seen = 0;
  const size_t before = seen;
  seen = hooks.complaints();
  ends(kBadParameter, words, status);
  CHECK(seen > before);
}

// ---- device memory, of any type ----

template <class Value>
class Device {
 public:
  explicit Device(size_t count) : count_(count) { OK(cudaMalloc(&memory_, count * sizeof(Value))); }
  explicit Device(const std::vector<Value>& values) : Device(values.size()) { write(values); }
  ~Device() { cudaFree(memory_); }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  Value* get() const { return memory_; }
  void write(const std::vector<Value>& values) const {
    OK(cudaMemcpy(memory_, values.data(), values.size() * sizeof(Value), cudaMemcpyHostToDevice));
  }
  std::vector<Value> read() const {
    std::vector<Value> values(count_);
    OK(cudaMemcpy(values.data(), memory_, count_ * sizeof(Value), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  size_t count_;
  Value* memory_ = nullptr;
};

bool near(double value, double expected, double tolerance = 1e-5) {
  return std::fabs(value - expected) <= tolerance * std::max(1.0, std::fabs(expected));
}

double widened(float value) { return value; }
double widened(double value) { return value; }
double widened(Float16 value) { return toFloat(value); }
double widened(BFloat16 value) { return toFloat(value); }

template <class Value>
Value narrowed(double value);
template <>
float narrowed(double value) {
  return static_cast<float>(value);
}
template <>
double narrowed(double value) {
  return value;
}
template <>
Float16 narrowed(double value) {
  return toFloat16(static_cast<float>(value));
}
template <>
BFloat16 narrowed(double value) {
  return toBFloat16(static_cast<float>(value));
}

template <class Value>
constexpr DataType kType = DataType::Float;
template <>
constexpr DataType kType<double> = DataType::Double;
template <>
constexpr DataType kType<Float16> = DataType::Half;
template <>
constexpr DataType kType<BFloat16> = DataType::BFloat16;

template <class Value>
constexpr double kTolerance = sizeof(Value) == 2 ? 1e-2 : 1e-5;

template <class Value>
using ParameterOf = std::conditional_t<std::is_same_v<Value, double>, double, float>;

// ---- one batch normalization and all it needs ----

struct Dimensions {
  int n, c, h, w;
};

template <class Value = float>
struct Setting {
  using Parameter = ParameterOf<Value>;

  Mode mode;
  Ops ops;
  Format format;
  Dimensions size;
  size_t count = static_cast<size_t>(size.n * size.c * size.h * size.w);
  size_t groups = static_cast<size_t>(mode == Mode::PerActivation ? size.c * size.h * size.w : size.c);
  double epsilon = 1e-3;

  cudaStream_t stream = newStream();
  Handle handle = nullptr;
  TensorDescriptor tensor = nullptr;
  TensorDescriptor parameters = nullptr;
  ActivationDescriptor activation = nullptr;
  size_t workspaceBytes = 0;
  size_t backwardWorkspaceBytes = 0;
  size_t reserveBytes = 0;

  Parameter one = 1;
  Parameter zero = 0;
  Device<Value> x{ramp(count, 1)}, z{ramp(count, 3)}, y{count}, dy{ramp(count, 5)}, dz{count}, dx{count};
  Device<Parameter> scale{parametersFrom(1)}, bias{parametersFrom(-0.25)};
  Device<Parameter> runningMean{std::vector<Parameter>(groups, 1)}, runningVariance{std::vector<Parameter>(groups, 2)};
  Device<Parameter> savedMean{groups}, savedInverse{groups}, dscale{groups}, dbias{groups};
  Device<char> workspace{4096}, reserve{4096};

  explicit Setting(Mode m = Mode::Spatial, Ops o = Ops::Plain, Format f = Format::NCHW, Dimensions d = {3, 2, 2, 2})
      : mode(m), ops(o), format(f), size(d) {
    WORKS(library.Create(&handle));
    WORKS(library.SetStream(handle, stream));
    WORKS(library.CreateTensorDescriptor(&tensor));
    WORKS(library.SetTensor4dDescriptor(tensor, format, kType<Value>, size.n, size.c, size.h, size.w));
    WORKS(library.CreateTensorDescriptor(&parameters));
    WORKS(library.DeriveBNTensorDescriptor(parameters, tensor, mode));
    WORKS(library.CreateActivationDescriptor(&activation));
    WORKS(library.SetActivationDescriptor(activation, ActivationMode::Relu, NanPropagation::Yes, 0));
    if (askSizes() != kSuccess) lastError();
  }

  ~Setting() {
    cudaDeviceSynchronize();
    library.DestroyActivationDescriptor(activation);
    library.DestroyTensorDescriptor(parameters);
    library.DestroyTensorDescriptor(tensor);
    library.Destroy(handle);
    cudaStreamDestroy(stream);
    lastError();
  }

  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  static std::vector<Value> ramp(size_t count, int seed) {
    std::vector<Value> values;
    for (size_t i = 0; i < count; ++i)
      values.push_back(narrowed<Value>(static_cast<double>((i * 7 + static_cast<size_t>(seed)) % 11) / 4 - 1));
    return values;
  }

  std::vector<Parameter> parametersFrom(double first) const {
    std::vector<Parameter> values;
    for (size_t i = 0; i < groups; ++i) values.push_back(static_cast<Parameter>(first + 0.5 * static_cast<double>(i)));
    return values;
  }

  Status askSizes() {
    const Status forward = library.GetBatchNormalizationForwardTrainingExWorkspaceSize(handle, mode, ops, tensor, tensor, tensor,
                                                                                       parameters, activation, &workspaceBytes);
    if (forward != kSuccess) return forward;
    const Status backward = library.GetBatchNormalizationBackwardExWorkspaceSize(handle, mode, ops, tensor, tensor, tensor, tensor, tensor,
                                                                                 parameters, activation, &backwardWorkspaceBytes);
    if (backward != kSuccess) return backward;
    return library.GetBatchNormalizationTrainingExReserveSpaceSize(handle, mode, ops, activation, tensor, &reserveBytes);
  }

  // What tests change about a call.
  struct Forward {
    TensorDescriptor x, z, y, parameters;
    const void* alpha;
    const void* xMemory;
    const void* zMemory;
    void* yMemory;
    void* runningMean;
    void* runningVariance;
    void* savedMean;
    void* savedInverse;
    double epsilon, averageFactor;
    void* workspace;
    size_t workspaceBytes;
    void* reserve;
    size_t reserveBytes;
    Handle handle;
    const void* beta;
  };

  Status forward(const std::function<void(Forward&)>& change = [](Forward&) {}) {
    Forward call{tensor,
                 tensor,
                 tensor,
                 parameters,
                 &one,
                 x.get(),
                 z.get(),
                 y.get(),
                 runningMean.get(),
                 runningVariance.get(),
                 savedMean.get(),
                 savedInverse.get(),
                 epsilon,
                 0.25,
                 workspace.get(),
                 workspaceBytes,
                 reserve.get(),
                 reserveBytes,
                 handle,
                 &zero};
    change(call);
    return library.BatchNormalizationForwardTrainingEx(
        call.handle, mode, ops, call.alpha, call.beta, call.x, call.xMemory, call.z, call.zMemory, call.y, call.yMemory, call.parameters,
        scale.get(), bias.get(), call.averageFactor, call.runningMean, call.runningVariance, call.epsilon, call.savedMean,
        call.savedInverse, activation, call.workspace, call.workspaceBytes, call.reserve, call.reserveBytes);
  }

  struct Backward {
    TensorDescriptor y, dy, dz, dx;
    const void* yMemory;
    const void* dyMemory;
    void* dzMemory;
    const void* savedMean;
    const void* savedInverse;
    double epsilon;
    void* workspace;
    size_t workspaceBytes;
    void* reserve;
    size_t reserveBytes;
    const void* betaParameters;
  };

  Status backward(const std::function<void(Backward&)>& change = [](Backward&) {}) {
    Backward call{tensor,        tensor,          tensor,
                  tensor,        y.get(),         dy.get(),
                  dz.get(),      savedMean.get(), savedInverse.get(),
                  epsilon,       workspace.get(), backwardWorkspaceBytes,
                  reserve.get(), reserveBytes,    &zero};
    change(call);
    return library.BatchNormalizationBackwardEx(
        handle, mode, ops, &one, &zero, &one, call.betaParameters, tensor, x.get(), call.y, call.yMemory, call.dy, call.dyMemory, call.dz,
        call.dzMemory, call.dx, dx.get(), parameters, scale.get(), bias.get(), dscale.get(), dbias.get(), call.epsilon, call.savedMean,
        call.savedInverse, activation, call.workspace, call.workspaceBytes, call.reserve, call.reserveBytes);
  }

  Status inference() {
    return library.BatchNormalizationForwardInference(handle, mode, &one, &zero, tensor, x.get(), tensor, y.get(), parameters, scale.get(),
                                                      bias.get(), runningMean.get(), runningVariance.get(), epsilon);
  }

  void wait() const { OK(cudaStreamSynchronize(stream)); }

  size_t groupOf(size_t element) const {
    const auto inner = static_cast<size_t>(size.h * size.w);
    const auto channels = static_cast<size_t>(size.c);
    if (mode == Mode::PerActivation) return element % (channels * inner);
    return format == Format::NHWC ? element % channels : element / inner % channels;
  }
};

using Floats = Setting<float>;

template <class Value>
std::vector<double> valuesOf(const Device<Value>& device) {
  std::vector<double> values;
  for (const Value value : device.read()) values.push_back(widened(value));
  return values;
}

// ---- what it computes ----

// Two channels of two values each: mean 2 and 20, variance 1 and 100.
void computesByHand() {
  Floats s(Mode::Spatial, Ops::Plain, Format::NCHW, {2, 2, 1, 1});
  s.x.write({1, 10, 3, 30});
  s.scale.write({2, 1});
  s.bias.write({0, 5});
  s.dy.write({1, 2, 0, 4});
  s.epsilon = 0;
  WORKS(s.forward());
  WORKS(s.backward());
  s.wait();
  CHECK((s.y.read() == std::vector<float>{-2, 4, 2, 6}));
  CHECK((s.savedMean.read() == std::vector<float>{2, 20}));
  CHECK(near(s.savedInverse.read()[0], 1) && near(s.savedInverse.read()[1], 0.1));
  CHECK((s.runningMean.read() == std::vector<float>{1.25F, 5.75F}));
  CHECK((s.runningVariance.read() == std::vector<float>{2, 51.5F}));  // 0.75 * 2 + 0.25 * the unbiased 2 and 200
  CHECK((s.dscale.read() == std::vector<float>{-1, 2}));
  CHECK((s.dbias.read() == std::vector<float>{1, 6}));
  for (const float value : s.dx.read()) CHECK(near(value, 0));  // two values have no gradient but along mean and scale
}

template <class Value>
void computesAsALoop(Mode mode, Ops ops, Format format) {
  Setting<Value> s(mode, ops, format, {3, 4, 2, 2});
  WORKS(s.forward());
  WORKS(s.backward());
  s.wait();
  const auto x = valuesOf(s.x), z = valuesOf(s.z), dy = valuesOf(s.dy), scale = valuesOf(s.scale), bias = valuesOf(s.bias);
  const auto y = valuesOf(s.y), dx = valuesOf(s.dx), dscale = valuesOf(s.dscale), dbias = valuesOf(s.dbias);
  const double size = static_cast<double>(s.count) / static_cast<double>(s.groups);
  for (size_t group = 0; group < s.groups; ++group) {
    double sum = 0, squares = 0, gradients = 0, products = 0;
    for (size_t i = 0; i < s.count; ++i) {
      if (s.groupOf(i) != group) continue;
      sum += x[i];
      squares += x[i] * x[i];
    }
    const double mean = sum / size;
    const double inverse = 1 / std::sqrt(squares / size - mean * mean + s.epsilon);
    const auto before = [&](size_t i) {
      return (x[i] - mean) * inverse * scale[group] + bias[group] + (ops == Ops::AddActivation ? z[i] : 0);
    };
    const auto gradient = [&](size_t i) { return ops != Ops::Plain && before(i) <= 0 ? 0 : dy[i]; };
    for (size_t i = 0; i < s.count; ++i) {
      if (s.groupOf(i) != group) continue;
      const double value = before(i);
      CHECK(near(y[i], ops == Ops::Plain ? value : std::max(value, 0.0), kTolerance<Value>));
      gradients += gradient(i);
      products += gradient(i) * (x[i] - mean) * inverse;
    }
    CHECK(near(dbias[group], gradients) && near(dscale[group], products));
    for (size_t i = 0; i < s.count; ++i) {
      if (s.groupOf(i) != group) continue;
      const double common = (gradients + (x[i] - mean) * inverse * products) / size;
      CHECK(near(dx[i], scale[group] * inverse * (gradient(i) - common), kTolerance<Value>));
      if (ops == Ops::AddActivation) CHECK(near(widened(s.dz.read()[i]), gradient(i), kTolerance<Value>));
    }
  }
}

void computesAllModesAndTypes() {
  for (const Mode mode : {Mode::PerActivation, Mode::Spatial, Mode::SpatialPersistent}) {
    for (const Format format : {Format::NCHW, Format::NHWC}) {
      computesAsALoop<float>(mode, Ops::Plain, format);
      computesAsALoop<double>(mode, Ops::Plain, format);
      computesAsALoop<Float16>(mode, Ops::Plain, format);
      computesAsALoop<BFloat16>(mode, Ops::Plain, format);
    }
  }
  for (const Ops ops : {Ops::Activation, Ops::AddActivation}) {
    computesAsALoop<float>(Mode::SpatialPersistent, ops, Format::NHWC);
    computesAsALoop<Float16>(Mode::SpatialPersistent, ops, Format::NHWC);
    computesAsALoop<BFloat16>(Mode::SpatialPersistent, ops, Format::NHWC);
  }
}

void infersByRunningStatistics() {
  Floats s(Mode::Spatial, Ops::Plain, Format::NCHW, {1, 2, 1, 2});
  s.x.write({1, 3, 5, 7});
  s.runningMean.write({1, 5});
  s.runningVariance.write({4, 1});
  s.scale.write({2, 3});
  s.bias.write({0, 1});
  s.epsilon = 0;
  WORKS(s.inference());
  s.wait();
  CHECK((s.y.read() == std::vector<float>{0, 2, 1, 7}));
}

void blendsWithWhatIsThere() {
  Floats s;
  const float half = 0.5F;
  const float two = 2;
  WORKS(s.forward());
  s.wait();
  const std::vector<float> plain = s.y.read();
  s.y.write(std::vector<float>(s.count, 3));
  WORKS(s.forward([&](auto& call) { call.alpha = &half, call.beta = &two; }));
  WORKS(s.backward());
  WORKS(s.backward([&](auto& call) { call.betaParameters = &two; }));
  s.wait();
  CHECK(near(s.y.read()[1], 0.5 * plain[1] + 6));
  const std::vector<float> three = s.dbias.read();
  WORKS(s.backward());
  s.wait();
  CHECK(near(three[0], 3 * s.dbias.read()[0]) && three[0] != 0);
}

void statisticsAreOptional() {
  Floats s;
  WORKS(s.forward([](auto& call) { call.runningMean = call.runningVariance = call.savedMean = call.savedInverse = nullptr; }));
  WORKS(s.backward([](auto& call) { call.savedMean = call.savedInverse = nullptr; }));
  s.wait();
  const std::vector<float> computed = s.dx.read();
  WORKS(s.forward());
  WORKS(s.backward());
  s.wait();
  for (size_t i = 0; i < s.count; ++i) CHECK(near(s.dx.read()[i], computed[i]));
}

void graphsRepeatIt() {
  Floats s;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  OK(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
  WORKS(s.forward());
  OK(cudaStreamEndCapture(s.stream, &graph));
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphDestroy(graph));
  for (int i = 0; i < 2; ++i) OK(cudaGraphLaunch(exec, s.stream));
  s.wait();
  OK(cudaGraphExecDestroy(exec));
  const double mean = s.savedMean.read()[0];
  CHECK(near(s.runningMean.read()[0], 0.5625 + 0.4375 * mean));  // two steps of a quarter from 1
}

void isQueued() {
  Floats s;
  Gate gate;
  gate.hold(s.stream);
  WORKS(s.forward());
  const cudaError_t pending = cudaStreamQuery(s.stream);
  gate.open();
  CHECK(pending == cudaErrorNotReady);
  s.wait();
}

void sizesAreAsInCudnn() {
  const Floats plain;
  CHECK(plain.workspaceBytes == 0 && plain.backwardWorkspaceBytes == 0 && plain.reserveBytes == 0);
  const Floats persistent(Mode::SpatialPersistent);
  CHECK(persistent.workspaceBytes > 0 && persistent.backwardWorkspaceBytes > persistent.workspaceBytes && persistent.reserveBytes > 0);
  const Floats fused(Mode::SpatialPersistent, Ops::Activation, Format::NHWC, {3, 11, 1, 1});
  CHECK(fused.workspaceBytes > 0 && fused.reserveBytes == persistent.reserveBytes + 8);  // 33 bits
}

// ---- what is not supported ----

void refusesWhatCudnnHasNot() {
  const auto persistent = Mode::SpatialPersistent;
  ends(kNotSupported, "BN_ACTIVATION needs SPATIAL_PERSISTENT", Floats(Mode::Spatial, Ops::Activation, Format::NHWC).forward());
  ends(kNotSupported, "needs SPATIAL_PERSISTENT", Floats(Mode::PerActivation, Ops::AddActivation, Format::NHWC).askSizes());
  ends(kNotSupported, "BN_ADD_ACTIVATION needs NHWC", Floats(persistent, Ops::AddActivation, Format::NCHW).forward());
  ends(kNotSupported, "not double", Setting<double>(persistent, Ops::Activation, Format::NHWC).forward());
  Floats tanh(persistent, Ops::Activation, Format::NHWC);
  WORKS(library.SetActivationDescriptor(tanh.activation, ActivationMode::Tanh, NanPropagation::No, 0));
  ends(kNotSupported, "needs RELU", tanh.forward());
  ends(kNotSupported, "needs RELU", tanh.askSizes());
  ends(kNotSupported, "2147483647", library.SetTensor4dDescriptor(tanh.tensor, Format::NCHW, DataType::Half, 65536, 65536, 1, 1));
}

// ---- what is wrong ----

void tellsWrongDescriptors() {
  Floats s;
  isWrong("of x is null", s.forward([](auto& call) { call.y = nullptr, call.x = nullptr; }));
  TensorDescriptor other = nullptr;
  WORKS(library.CreateTensorDescriptor(&other));
  const auto withY = [&] { return s.forward([&](auto& call) { call.y = other; }); };
  isWrong("the tensor descriptor of y was never set", withY());
  WORKS(library.SetTensor4dDescriptor(other, Format::NCHW, DataType::Half, 3, 2, 2, 2));
  isWrong("y is half NCHW 3x2x2x2, but x is float NCHW 3x2x2x2", withY());
  WORKS(library.SetTensor4dDescriptor(other, Format::NHWC, DataType::Float, 3, 2, 2, 2));
  isWrong("y is float NHWC", withY());
  WORKS(library.SetTensor4dDescriptor(other, Format::NCHW, DataType::Float, 3, 2, 2, 1));
  isWrong("y is float NCHW 3x2x2x1", withY());
  isWrong("dy is float NCHW 3x2x2x1", s.backward([&](auto& call) { call.dy = other; }));
  isWrong("dx is float NCHW 3x2x2x1", s.backward([&](auto& call) { call.dx = other; }));
  WORKS(library.DestroyTensorDescriptor(other));
  isWrong("the tensor descriptor of y was destroyed", withY());
  isWrong("tensor descriptor was destroyed", library.DestroyTensorDescriptor(other));
  isWrong("was never made", s.forward([&](auto& call) { call.y = reinterpret_cast<TensorDescriptor>(&s); }));
  isWrong("a dimension is 0", library.SetTensor4dDescriptor(s.tensor, Format::NCHW, DataType::Float, 3, 0, 2, 2));
  isWrong("format is unknown", library.SetTensor4dDescriptor(s.tensor, static_cast<Format>(2), DataType::Float, 3, 1, 2, 2));
  isWrong("data type 7", library.SetTensor4dDescriptor(s.tensor, Format::NCHW, static_cast<DataType>(7), 3, 1, 2, 2));
  isWrong("mode 3", library.DeriveBNTensorDescriptor(s.parameters, s.tensor, static_cast<Mode>(3)));

  Floats fused(Mode::SpatialPersistent, Ops::AddActivation, Format::NHWC);
  isWrong("z is float NCHW", fused.forward([&](auto& call) { call.z = s.tensor; }));
  WORKS(fused.forward());
  isWrong("y is float NCHW", fused.backward([&](auto& call) { call.y = s.tensor; }));
  isWrong("dz is float NCHW", fused.backward([&](auto& call) { call.dz = s.tensor; }));
  ActivationDescriptor activation = nullptr;
  WORKS(library.CreateActivationDescriptor(&activation));
  std::swap(activation, fused.activation);
  isWrong("activation descriptor was never set", fused.forward());
  WORKS(library.DestroyActivationDescriptor(fused.activation));
  isWrong("activation descriptor was destroyed", fused.forward());
  fused.activation = nullptr;
  isWrong("activation descriptor is null", fused.forward());
  fused.activation = activation;
  fused.wait();
}

void tellsWrongParameterDescriptors() {
  Floats s;
  const std::string words = "parameters must be derived from x with SPATIAL: float NCHW 1x2x1x1";
  WORKS(library.DeriveBNTensorDescriptor(s.parameters, s.tensor, Mode::PerActivation));
  isWrong(words, s.forward());
  isWrong(words, s.backward());
  isWrong(words, s.inference());
  isWrong(words, s.askSizes());
  WORKS(library.SetTensor4dDescriptor(s.parameters, Format::NCHW, DataType::Float, 1, 2, 1, 1));
  isWrong(words, s.forward());  // by hand
  const Setting<double> doubles;
  isWrong(words, s.forward([&](auto& call) { call.parameters = doubles.parameters; }));
  const Floats wide(Mode::Spatial, Ops::Plain, Format::NCHW, {3, 4, 2, 2});
  isWrong(words, s.forward([&](auto& call) { call.parameters = wide.parameters; }));
}

void tellsNullAndLonePointers() {
  Floats s;
  isWrong("x is null", s.forward([](auto& call) { call.xMemory = nullptr; }));
  isWrong("y is null", s.forward([](auto& call) { call.yMemory = nullptr; }));
  isWrong("a scaling factor is null", s.forward([](auto& call) { call.alpha = nullptr; }));
  isWrong("the running mean is given without the running variance", s.forward([](auto& call) { call.runningVariance = nullptr; }));
  isWrong("the running variance is given without the running mean", s.forward([](auto& call) { call.runningMean = nullptr; }));
  isWrong("the saved mean is given without", s.forward([](auto& call) { call.savedInverse = nullptr; }));
  isWrong("the saved inverse deviation is given without", s.backward([](auto& call) { call.savedMean = nullptr; }));
  isWrong("dy is null", s.backward([](auto& call) { call.dyMemory = nullptr; }));
  isWrong("the place for the size is null",
          library.GetBatchNormalizationTrainingExReserveSpaceSize(s.handle, s.mode, s.ops, s.activation, s.tensor, nullptr));
  Floats fused(Mode::SpatialPersistent, Ops::AddActivation, Format::NHWC);
  isWrong("z is null", fused.forward([](auto& call) { call.zMemory = nullptr; }));
  isWrong("y is null", fused.backward([](auto& call) { call.yMemory = nullptr; }));
  isWrong("dz is null", fused.backward([](auto& call) { call.dzMemory = nullptr; }));
}

void tellsWrongNumbers() {
  Floats s;
  isWrong("epsilon is -", s.forward([](auto& call) { call.epsilon = -1e-5; }));
  isWrong("epsilon is nan", s.backward([](auto& call) { call.epsilon = std::nan(""); }));
  isWrong("factor of the running statistics is 1.5", s.forward([](auto& call) { call.averageFactor = 1.5; }));
}

void tellsWrongMemory() {
  Floats s;
  const std::vector<float> onHost(s.count);
  isWrong("x: an address of no allocation", s.forward([&](auto& call) { call.xMemory = onHost.data(); }));
  isWrong("y: 96 bytes from byte 4 of memory that has 96", s.forward([&](auto& call) { call.yMemory = s.y.get() + 1; }));
  isWrong("x is misaligned: its address must be a multiple of 4",
          s.forward([&](auto& call) { call.xMemory = reinterpret_cast<char*>(s.x.get()) + 2; }));
  isWrong("the saved mean is misaligned", s.forward([&](auto& call) { call.savedMean = reinterpret_cast<char*>(s.savedMean.get()) + 1; }));
  isWrong("the running mean: 8 bytes from", s.forward([&](auto& call) { call.runningMean = s.runningMean.get() + 1; }));
}

void tellsForgottenSpaces() {
  Floats s(Mode::SpatialPersistent, Ops::Activation, Format::NHWC);
  const std::string tooSmall = "the reserve space has 0 bytes, " + std::to_string(s.reserveBytes) + " are needed";
  const auto without = [](auto& call) { call.reserve = nullptr, call.reserveBytes = 0; };
  isWrong(tooSmall, s.forward(without));
  isWrong(tooSmall, s.backward(without));
  isWrong("the reserve space is null", s.forward([](auto& call) { call.reserve = nullptr; }));
  isWrong("the reserve space has", s.backward([](auto& call) { --call.reserveBytes; }));
  isWrong("the workspace is null", s.forward([](auto& call) { call.workspace = nullptr; }));
  isWrong("the workspace has", s.forward([](auto& call) { --call.workspaceBytes; }));
  isWrong("the workspace has", s.backward([&](auto& call) { call.workspaceBytes = s.workspaceBytes; }));  // that of forward
  isWrong("the workspace is misaligned", s.forward([&](auto& call) { call.workspace = s.workspace.get() + 8; }));
}

// ---- what shows when the work runs ----

// The device fails in these words; `complained`: the stand-in found it, not the emulator.
template <class Body>
void failsLater(const std::string& words, bool complained, const Body& body) {
  const size_t before = hooks.complaints();
  body();
  CHECK(cudaDeviceSynchronize() != cudaSuccess);
  if (!contains(lastFault(), words)) std::fprintf(stderr, "%s\n", lastFault().c_str());
  CHECK(contains(lastFault(), words));
  CHECK(hooks.complaints() == before + (complained ? 1 : 0));
  emulator::reset();
}

void tellsReservesOfOtherPasses() {
  const auto persistent = Mode::SpatialPersistent;
  const std::string ofOther = "misuse of a library: cudnnBatchNormalizationBackwardEx: the reserve space is of another forward pass: ";
  Floats s(persistent, Ops::AddActivation, Format::NHWC);
  failsLater("uninitialised read: cudnnBatchNormalizationBackwardEx reads the reserve space", false, [&] {
    WORKS(s.forward());
    Device<char> never(4096);
    WORKS(s.backward([&](auto& call) { call.reserve = never.get(); }));
    letStreamsWork();
  });
  failsLater("no forward pass has filled the reserve space", true, [&] {
    OK(cudaMemset(s.reserve.get(), 0, 4096));
    WORKS(s.backward());
    letStreamsWork();
  });
  failsLater(ofOther + "its ops was another", true, [&] {
    Floats relu(persistent, Ops::Activation, Format::NHWC);
    WORKS(relu.forward());
    relu.wait();
    WORKS(s.backward([&](auto& call) { call.reserve = relu.reserve.get(); }));
    letStreamsWork();
  });
  failsLater(ofOther + "its x was another", true, [&] {
    Floats twin(persistent, Ops::AddActivation, Format::NHWC);
    twin.x.write(std::vector<float>(twin.count, 1));
    WORKS(twin.forward());
    twin.wait();
    WORKS(s.backward([&](auto& call) { call.reserve = twin.reserve.get(); }));
    letStreamsWork();
  });
  failsLater(ofOther + "its width was another", true, [&] {
    Floats taller(persistent, Ops::AddActivation, Format::NHWC, {3, 2, 2, 4});
    WORKS(taller.forward());
    taller.wait();
    WORKS(s.backward([&](auto& call) { call.reserve = taller.reserve.get(); }));
    letStreamsWork();
  });
  failsLater(ofOther + "its epsilon was another", true, [&] {
    WORKS(s.forward());
    WORKS(s.backward([](auto& call) { call.epsilon *= 2; }));
  });
  failsLater("the bits of the reserve space were overwritten after forward", true, [&] {
    WORKS(s.forward());
    OK(cudaMemsetAsync(s.reserve.get() + 128, 0xff, 1, s.stream));
    WORKS(s.backward());
  });
}

void tellsStatisticsOfOtherPasses() {
  Floats s;
  failsLater("with this epsilon is", true, [&] {
    WORKS(s.forward());
    WORKS(s.backward([](auto& call) { call.epsilon = 0.1; }));
  });
  failsLater("the saved mean of group 0 is", true, [&] {
    WORKS(s.forward());
    OK(cudaMemsetAsync(s.savedMean.get(), 0, 4, s.stream));
    WORKS(s.backward());
  });
}

void memoryIsWatched() {
  Floats s;
  failsLater("uninitialised read: cudnnBatchNormalizationForwardTrainingEx reads x", false, [&] {
    const Device<float> empty(s.count);
    WORKS(s.forward([&](auto& call) { call.xMemory = empty.get(); }));
    letStreamsWork();
  });
  failsLater("missing stream wait: ", false, [&] {
    const cudaStream_t other = newStream();
    WORKS(s.forward());
    letStreamsWork();
    OK(cudaMemsetAsync(s.y.get(), 0, 4, other));
    letStreamsWork();
    cudaStreamDestroy(other);
  });
  failsLater("cudaFreeAsync on stream ", false, [&] {
    float* early = nullptr;
    OK(cudaMallocAsync(&early, s.count * sizeof(float), s.stream));
    OK(cudaFreeAsync(early, s.stream));
    WORKS(s.forward([&](auto& call) { call.yMemory = early; }));
  });
}

void lostDevicesDoNothing() {
  Floats s;
  failsLater("out-of-bounds read", false, [&] {
    OK(launch(emulator::add, s.stream, {nullptr, s.dx.get(), 1}));
    CHECK(cudaStreamSynchronize(s.stream) != cudaSuccess);
    ends(kExecutionFailed, "out-of-bounds read", s.forward());
  });
}

// ---- handles ----

void tellsMisusedHandles() {
  const Floats s;
  const cudaStream_t other = newStream();
  WORKS(library.SetStream(s.handle, s.stream));
  isWrong("the handle belongs to another stream", library.SetStream(s.handle, other));
  isWrong("the handle belongs to another stream", library.SetStream(s.handle, nullptr));
  Floats used;
  Handle handle = nullptr;
  WORKS(library.Create(&handle));
  WORKS(used.forward([&](auto& call) { call.handle = handle; }));  // on the default stream
  isWrong("the handle belongs to another stream", library.SetStream(handle, other));
  OK(cudaSetDevice(1));
  isWrong("the handle is of device 0, the current device is 1", used.forward());
  OK(cudaSetDevice(0));
  WORKS(library.Destroy(handle));
  isWrong("the handle was destroyed", used.forward([&](auto& call) { call.handle = handle; }));
  isWrong("the handle was destroyed", library.SetStream(handle, other));
  isWrong("the handle was destroyed", library.Destroy(handle));
  isWrong("the handle is null", library.Destroy(nullptr));
  OK(cudaStreamDestroy(other));
  Handle astray = nullptr;
  WORKS(library.Create(&astray));
  WORKS(library.SetStream(astray, other));
  isWrong("no such stream", used.forward([&](auto& call) { call.handle = astray; }));
  WORKS(library.Destroy(astray));
}

// As the real one, it waits for the device, and a capture does not survive that.
void destroyingEndsCaptures() {
  Floats s;
  Handle handle = nullptr;
  cudaGraph_t graph = nullptr;
  WORKS(library.Create(&handle));
  OK(cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal));
  WORKS(library.Destroy(handle));
  CHECK(cudaStreamEndCapture(s.stream, &graph) == cudaErrorStreamCaptureInvalidated);
}

void countsTheLiving() {
  CHECK(hooks.livingHandles() == 0 && hooks.livingDescriptors() == 0);
  const Floats s;
  CHECK(hooks.livingHandles() == 1 && hooks.livingDescriptors() == 3);
}

// ---- what tests ask for ----

void failsOnRequest() {
  Floats s;
  hooks.failNext("cudnnBatchNormalizationForwardTrainingEx", kOverflow);
  ends(kOverflow, "a failure that was asked for", s.forward());
  WORKS(s.forward());
  emulator::failNth(emulator::FailureKind::Launch, 1);
  ends(kExecutionFailed, "a failure that was asked for", s.forward());
  WORKS(s.forward());
  hooks.failNext("cudnnCreate", kInternalError);
  Handle handle = nullptr;
  ends(kInternalError, "cudnnCreate: ", library.Create(&handle));
  CHECK(handle == nullptr);
  s.wait();
}

void writesCallsDown() {
  Floats s;
  hooks.reset();
  CHECK(std::string(hooks.calls()).empty() && hooks.complaints() == 0);
  WORKS(s.forward());
  isWrong("y is null", s.forward([](auto& call) { call.yMemory = nullptr; }));
  const std::string calls = hooks.calls();
  CHECK(contains(calls,
                 "{\"function\":\"cudnnBatchNormalizationForwardTrainingEx\",\"status\":0,\"mode\":\"SPATIAL\",\"ops\":\"BN\","
                 "\"tensor\":\"float NCHW 3x2x2x2\",\"epsilon\":0.001"));
  CHECK(contains(calls, "\"averageFactor\":0.25,\"running\":true,\"saved\":true}\n"));
  CHECK(contains(calls, "\"status\":2000"));
  CHECK(hooks.complaints() == 1);
  s.wait();
}

void tellsItsVersion() {
  CHECK(library.GetVersion() == 92400);
  setenv("CUDA_BATCHNORM_EMULATED_CUDNN_VERSION", "8907", 1);
  CHECK(library.GetVersion() == 8907);
  unsetenv("CUDA_BATCHNORM_EMULATED_CUDNN_VERSION");
  CHECK(library.GetErrorString(kBadParameter) == std::string("CUDNN_STATUS_BAD_PARAM"));
  CHECK(library.GetErrorString(1) == std::string("CUDNN_UNKNOWN_STATUS"));
}

// The words are cut where the caller has no room for them.
void wordsFitTheRoom() {
  Floats s;
  CHECK(s.forward([](auto& call) { call.xMemory = nullptr; }) == kBadParameter);
  std::array<char, 6> room;
  library.GetLastErrorString(room.data(), room.size());
  CHECK(std::string(room.data()) == "cudnn");
  CHECK(lastError().empty());
}

void testAll() {
  computesByHand();
  computesAllModesAndTypes();
  infersByRunningStatistics();
  blendsWithWhatIsThere();
  statisticsAreOptional();
  graphsRepeatIt();
  isQueued();
  sizesAreAsInCudnn();
  CHECK(hooks.complaints() == 0 && lastFault().empty());
  refusesWhatCudnnHasNot();
  CHECK(hooks.complaints() == 0);
  tellsWrongDescriptors();
  tellsWrongParameterDescriptors();
  tellsNullAndLonePointers();
  tellsWrongNumbers();
  tellsWrongMemory();
  tellsForgottenSpaces();
  CHECK(lastFault().empty());
  tellsReservesOfOtherPasses();
  tellsStatisticsOfOtherPasses();
  memoryIsWatched();
  lostDevicesDoNothing();
  tellsMisusedHandles();
  destroyingEndsCaptures();
  countsTheLiving();
  failsOnRequest();
  writesCallsDown();
  tellsItsVersion();
  wordsFitTheRoom();
  CHECK(hooks.livingHandles() == 0 && hooks.livingDescriptors() == 0 && emulator::liveBytes() == 0);
}

}  // namespace
}  // namespace cuda_batchnorm::cudnn

// The library's path; with "none" after it, there is no GPU.
int main(int count, char** arguments) {
  using namespace cuda_batchnorm::cudnn;
  CHECK(count > 1);
  const bool none = count > 2;
  setenv("CUDA_BATCHNORM_EMULATED_DEVICES", none ? "0" : "2", 1);
  open(arguments[1]);
  if (!none) return testAll(), 0;
  Handle handle = nullptr;
  ends(kNotInitialized, "there is no GPU", library.Create(&handle));
}
