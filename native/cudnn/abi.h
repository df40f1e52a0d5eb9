// The part of cuDNN 9's binary interface that this package calls: the library is opened at run time and its headers are not needed to
// build. Read from the headers of cuDNN 9.24, and compared with them by test/cudnn/header_test.cc where a machine has them.
#pragma once

#include <cstddef>
#include <type_traits>

namespace cuda_batchnorm::cudnn {

constexpr int kMajor = 9;

// Opaque to callers.
using Handle = struct HandleStruct*;
using TensorDescriptor = struct TensorStruct*;
using ActivationDescriptor = struct ActivationStruct*;
using CudaStream = void*;

// 0 is success; thousands are categories.
using Status = int;
constexpr Status kSuccess = 0;
constexpr Status kNotInitialized = 1001;
constexpr Status kOverflow = 1007;
constexpr Status kBadParameter = 2000;
constexpr Status kNotSupported = 3000;
constexpr Status kInternalError = 4000;
constexpr Status kExecutionFailed = 5000;

enum class Format : int { NCHW = 0, NHWC = 1 };
enum class DataType : int { Float = 0, Double = 1, Half = 2, BFloat16 = 9 };
enum class Mode : int { PerActivation = 0, Spatial = 1, SpatialPersistent = 2 };
enum class Ops : int { Plain = 0, Activation = 1, AddActivation = 2 };
enum class ActivationMode : int { Sigmoid = 0, Relu = 1, Tanh = 2, ClippedRelu = 3, Elu = 4, Identity = 5, Swish = 6 };
enum class NanPropagation : int { No = 0, Yes = 1 };

// Every function: its name without "cudnn", and its type. Scaling factors (alpha, beta) are floats of the host, doubles with
// tensors of doubles.
// clang-format off
#define CUDA_BATCHNORM_CUDNN_FUNCTIONS(FUNCTION)                                                                                     \
  FUNCTION(GetVersion, size_t())                                                                                                    \
  FUNCTION(GetErrorString, const char*(Status))                                                                                     \
  FUNCTION(GetLastErrorString, void(char* message, size_t bytes))                                                                   \
  FUNCTION(Create, Status(Handle*))                                                                                                 \
  FUNCTION(Destroy, Status(Handle))                                                                                                 \
  FUNCTION(SetStream, Status(Handle, CudaStream))                                                                                   \
  FUNCTION(CreateTensorDescriptor, Status(TensorDescriptor*))                                                                       \
  FUNCTION(SetTensor4dDescriptor, Status(TensorDescriptor, Format, DataType, int n, int c, int h, int w))                           \
  FUNCTION(DeriveBNTensorDescriptor, Status(TensorDescriptor derived, TensorDescriptor x, Mode))                                    \
  FUNCTION(DestroyTensorDescriptor, Status(TensorDescriptor))                                                                       \
  FUNCTION(CreateActivationDescriptor, Status(ActivationDescriptor*))                                                               \
  FUNCTION(SetActivationDescriptor, Status(ActivationDescriptor, ActivationMode, NanPropagation, double coefficient))               \
  FUNCTION(DestroyActivationDescriptor, Status(ActivationDescriptor))                                                               \
  FUNCTION(GetBatchNormalizationForwardTrainingExWorkspaceSize,                                                                     \
           Status(Handle, Mode, Ops, TensorDescriptor x, TensorDescriptor z, TensorDescriptor y, TensorDescriptor parameters,       \
                  ActivationDescriptor, size_t* bytes))                                                                             \
  FUNCTION(GetBatchNormalizationBackwardExWorkspaceSize,                                                                            \
           Status(Handle, Mode, Ops, TensorDescriptor x, TensorDescriptor y, TensorDescriptor dy, TensorDescriptor dz,              \
                  TensorDescriptor dx, TensorDescriptor parameters, ActivationDescriptor, size_t* bytes))                           \
  FUNCTION(GetBatchNormalizationTrainingExReserveSpaceSize,                                                                         \
           Status(Handle, Mode, Ops, ActivationDescriptor, TensorDescriptor x, size_t* bytes))                                      \
  FUNCTION(BatchNormalizationForwardTrainingEx,                                                                                     \
           Status(Handle, Mode, Ops, const void* alpha, const void* beta, TensorDescriptor, const void* x, TensorDescriptor,        \
                  const void* z, TensorDescriptor, void* y, TensorDescriptor, const void* scale, const void* bias,                  \
                  double averageFactor, void* runningMean, void* runningVariance, double epsilon, void* savedMean,                  \
                  void* savedInvVariance, ActivationDescriptor, void* workspace, size_t workspaceBytes, void* reserve,              \
                  size_t reserveBytes))                                                                                             \
  FUNCTION(BatchNormalizationForwardInference,                                                                                      \
           Status(Handle, Mode, const void* alpha, const void* beta, TensorDescriptor, const void* x, TensorDescriptor, void* y,    \
                  TensorDescriptor, const void* scale, const void* bias, const void* mean, const void* variance, double epsilon))   \
  FUNCTION(BatchNormalizationBackwardEx,                                                                                            \
           Status(Handle, Mode, Ops, const void* alphaData, const void* betaData, const void* alphaParameters,                      \
                  const void* betaParameters, TensorDescriptor, const void* x, TensorDescriptor, const void* y, TensorDescriptor,   \
                  const void* dy, TensorDescriptor, void* dz, TensorDescriptor, void* dx, TensorDescriptor, const void* scale,      \
                  const void* bias, void* dscale, void* dbias, double epsilon, const void* savedMean,                               \
                  const void* savedInvVariance, ActivationDescriptor, void* workspace, size_t workspaceBytes, void* reserve,        \
                  size_t reserveBytes))
// clang-format on

struct Functions {
#define CUDA_BATCHNORM_MEMBER(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
  CUDA_BATCHNORM_CUDNN_FUNCTIONS(CUDA_BATCHNORM_MEMBER)
#undef CUDA_BATCHNORM_MEMBER
};

}  // namespace cuda_batchnorm::cudnn
