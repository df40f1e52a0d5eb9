// native/cudnn/abi.h says what cuDNN's own header says: every number and every function's type. The compiler finds out; where there is no
// header the program says so.
#include <cstdio>

#include "../../native/cudnn/abi.h"

#if __has_include(<cudnn.h>)
#include <cudnn.h>
#define FOUND 1
#else
#define FOUND 0
#endif

#if FOUND && CUDNN_MAJOR == 9

#include <type_traits>
#include <utility>

// Every function of batch normalization is deprecated, and still there.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace cuda_batchnorm::cudnn {
namespace {

template <auto ours, auto theirs>
constexpr bool same() {
  return static_cast<int>(ours) == static_cast<int>(theirs);
}

static_assert(kMajor == CUDNN_MAJOR);

static_assert(same<kSuccess, CUDNN_STATUS_SUCCESS>());
static_assert(same<kNotInitialized, CUDNN_STATUS_NOT_INITIALIZED>());
static_assert(same<kOverflow, CUDNN_STATUS_RUNTIME_FP_OVERFLOW>());
static_assert(same<kBadParameter, CUDNN_STATUS_BAD_PARAM>());
static_assert(same<kNotSupported, CUDNN_STATUS_NOT_SUPPORTED>());
static_assert(same<kInternalError, CUDNN_STATUS_INTERNAL_ERROR>());
static_assert(same<kExecutionFailed, CUDNN_STATUS_EXECUTION_FAILED>());

static_assert(same<Format::NCHW, CUDNN_TENSOR_NCHW>());
static_assert(same<Format::NHWC, CUDNN_TENSOR_NHWC>());

static_assert(same<DataType::Float, CUDNN_DATA_FLOAT>());
static_assert(same<DataType::Double, CUDNN_DATA_DOUBLE>());
static_assert(same<DataType::Half, CUDNN_DATA_HALF>());
static_assert(same<DataType::BFloat16, CUDNN_DATA_BFLOAT16>());

static_assert(same<Mode::PerActivation, CUDNN_BATCHNORM_PER_ACTIVATION>());
static_assert(same<Mode::Spatial, CUDNN_BATCHNORM_SPATIAL>());
static_assert(same<Mode::SpatialPersistent, CUDNN_BATCHNORM_SPATIAL_PERSISTENT>());

static_assert(same<Ops::Plain, CUDNN_BATCHNORM_OPS_BN>());
static_assert(same<Ops::Activation, CUDNN_BATCHNORM_OPS_BN_ACTIVATION>());
static_assert(same<Ops::AddActivation, CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION>());

static_assert(same<ActivationMode::Sigmoid, CUDNN_ACTIVATION_SIGMOID>());
static_assert(same<ActivationMode::Relu, CUDNN_ACTIVATION_RELU>());
static_assert(same<ActivationMode::Tanh, CUDNN_ACTIVATION_TANH>());
static_assert(same<ActivationMode::ClippedRelu, CUDNN_ACTIVATION_CLIPPED_RELU>());
static_assert(same<ActivationMode::Elu, CUDNN_ACTIVATION_ELU>());
static_assert(same<ActivationMode::Identity, CUDNN_ACTIVATION_IDENTITY>());
static_assert(same<ActivationMode::Swish, CUDNN_ACTIVATION_SWISH>());

static_assert(same<NanPropagation::No, CUDNN_NOT_PROPAGATE_NAN>());
static_assert(same<NanPropagation::Yes, CUDNN_PROPAGATE_NAN>());

struct Enum;
struct Opaque;

// A type as it goes through the binary interface: an enum is its integer, a pointer to something opaque is that thing's name.
template <class Type, class = void>
struct Passed {
  using type = Type;
};
template <class Type>
struct Passed<Type, std::enable_if_t<std::is_enum_v<Type>>> {
  static_assert(sizeof(Type) == sizeof(int));
  using type = int;
};
template <>
struct Passed<Handle> : Passed<cudnnHandle_t> {};
template <>
struct Passed<TensorDescriptor> : Passed<cudnnTensorDescriptor_t> {};
template <>
struct Passed<ActivationDescriptor> : Passed<cudnnActivationDescriptor_t> {};
template <>
struct Passed<cudaStream_t> : Passed<CudaStream> {};
// Places for handles, descriptors and sizes.
template <class Type>
struct Passed<Type*, std::enable_if_t<!std::is_same_v<typename Passed<Type>::type, Type>>> {
  using type = typename Passed<Type>::type*;
};

template <class Function>
struct Signature;
template <class Result, class... Parameters>
struct Signature<Result(Parameters...)> {
  using type = typename Passed<Result>::type(typename Passed<Parameters>::type...);
};

#define AGREES(name, ...)                                                                                                       \
  static_assert(std::is_same_v<Signature<__VA_ARGS__>::type, Signature<std::remove_pointer_t<decltype(&::cudnn##name)>>::type>, \
                "cudnn" #name " has another type");
CUDA_BATCHNORM_CUDNN_FUNCTIONS(AGREES)
#undef AGREES

}  // namespace
}  // namespace cuda_batchnorm::cudnn

int main() { std::printf("abi.h agrees with the header of cuDNN %d.%d.%d\n", CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL); }

#else

int main() {
#if FOUND
  std::printf("skipped: the header found is of cuDNN %d, abi.h is of %d\n", CUDNN_MAJOR, cuda_batchnorm::cudnn::kMajor);
#else
  std::printf("skipped: %s\n", CUDA_BATCHNORM_WHY_NO_HEADER);
#endif
  return 77;
}

#endif
