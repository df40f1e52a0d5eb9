// native/cudnn/abi.h says what cuDNN's own header says. The comparison is made by the compiler, where it has the header.
#include <cstdio>

#if __has_include(<cudnn.h>)
#include <cudnn.h>

#include <type_traits>

#include "../../native/cudnn/abi.h"

namespace {

using namespace cuda_batchnorm::cudnn;

// Types that two declarations of one function may differ in: an enumeration is an int, and what is opaque is a pointer.
template <class T>
struct IsOpaque : std::is_class<T> {};

template <class T, class = void>
struct Plain {
  using Type = T;
};
template <class T>
struct Plain<T, std::enable_if_t<std::is_enum_v<T>>> {
  using Type = int;
};
template <class T>
struct Plain<T*, std::enable_if_t<IsOpaque<T>::value>> {
  using Type = void*;
};
template <class T>
struct Plain<T*, std::enable_if_t<!IsOpaque<T>::value && !std::is_function_v<T>>> {
  using Type = std::conditional_t<std::is_const_v<T>, const typename Plain<std::remove_const_t<T>>::Type, typename Plain<T>::Type>*;
};
template <class Result, class... Arguments>
struct Plain<Result(Arguments...)> {
  using Type = typename Plain<Result>::Type(typename Plain<std::remove_const_t<Arguments>>::Type...);
};

template <class One, class Other>
constexpr bool kSame = std::is_same_v<typename Plain<One>::Type, typename Plain<Other>::Type>;

static_assert(!kSame<int(float), int(double)> && !kSame<int(float*), int(const float*)> && !kSame<int(int), int(int, int)>,
              "the comparison can fail");

#define SAME_FUNCTION(name, ...) static_assert(kSame<decltype(cudnn##name), __VA_ARGS__>, "the type of cudnn" #name);
CUDA_BATCHNORM_CUDNN_FUNCTIONS(SAME_FUNCTION)
#undef SAME_FUNCTION

#define SAME_VALUE(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs), "the value of " #theirs)
SAME_VALUE(kMajor, CUDNN_MAJOR);
SAME_VALUE(kSuccess, CUDNN_STATUS_SUCCESS);
SAME_VALUE(kNotInitialized, CUDNN_STATUS_NOT_INITIALIZED);
SAME_VALUE(kOverflow, CUDNN_STATUS_RUNTIME_FP_OVERFLOW);
SAME_VALUE(kBadParameter, CUDNN_STATUS_BAD_PARAM);
SAME_VALUE(kNotSupported, CUDNN_STATUS_NOT_SUPPORTED);
SAME_VALUE(kInternalError, CUDNN_STATUS_INTERNAL_ERROR);
SAME_VALUE(kExecutionFailed, CUDNN_STATUS_EXECUTION_FAILED);
SAME_VALUE(Format::NCHW, CUDNN_TENSOR_NCHW);
SAME_VALUE(Format::NHWC, CUDNN_TENSOR_NHWC);
SAME_VALUE(DataType::Float, CUDNN_DATA_FLOAT);
SAME_VALUE(DataType::Double, CUDNN_DATA_DOUBLE);
SAME_VALUE(DataType::Half, CUDNN_DATA_HALF);
SAME_VALUE(DataType::BFloat16, CUDNN_DATA_BFLOAT16);
SAME_VALUE(Mode::PerActivation, CUDNN_BATCHNORM_PER_ACTIVATION);
SAME_VALUE(Mode::Spatial, CUDNN_BATCHNORM_SPATIAL);
SAME_VALUE(Mode::SpatialPersistent, CUDNN_BATCHNORM_SPATIAL_PERSISTENT);
SAME_VALUE(Ops::Plain, CUDNN_BATCHNORM_OPS_BN);
SAME_VALUE(Ops::Activation, CUDNN_BATCHNORM_OPS_BN_ACTIVATION);
SAME_VALUE(Ops::AddActivation, CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION);
SAME_VALUE(ActivationMode::Sigmoid, CUDNN_ACTIVATION_SIGMOID);
SAME_VALUE(ActivationMode::Relu, CUDNN_ACTIVATION_RELU);
SAME_VALUE(ActivationMode::Tanh, CUDNN_ACTIVATION_TANH);
SAME_VALUE(ActivationMode::ClippedRelu, CUDNN_ACTIVATION_CLIPPED_RELU);
SAME_VALUE(ActivationMode::Elu, CUDNN_ACTIVATION_ELU);
SAME_VALUE(ActivationMode::Identity, CUDNN_ACTIVATION_IDENTITY);
SAME_VALUE(ActivationMode::Swish, CUDNN_ACTIVATION_SWISH);
SAME_VALUE(NanPropagation::No, CUDNN_NOT_PROPAGATE_NAN);
SAME_VALUE(NanPropagation::Yes, CUDNN_PROPAGATE_NAN);
static_assert(CUDNN_BN_MIN_EPSILON == 0.0, "the least epsilon");

}  // namespace

int main() {
  std::printf("compared with the header of cuDNN %d.%d.%d\n", CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL);
  return 0;
}

#else

int main() {
  constexpr int kSkipped = 77;
  std::puts("skipped: there is no cudnn.h here (CUDNN_HOME may name a folder that has it in include)");
  return kSkipped;
}

#endif
