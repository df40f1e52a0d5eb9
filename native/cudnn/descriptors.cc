#include "descriptors.h"

namespace cuda_batchnorm::cudnn {
namespace {

DataType dataType(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return DataType::Float;
    case DType::Float64:
      return DataType::Double;
    case DType::Float16:
      return DataType::Half;
    case DType::BFloat16:
      return DataType::BFloat16;
  }
  return DataType::Float;
}

}  // namespace

TensorDescription::TensorDescription(const Library& library, const Problem& problem, Format format) : Owned(library) {
  // Rows of channels last are the height of one image, the same memory as many images of one pixel: cuDNN takes far fewer images than
  // pixels.
  const bool rows = format == Format::NHWC;
  const auto n = static_cast<int>(rows ? 1 : problem.outer);
  const auto h = static_cast<int>(rows ? problem.outer : problem.inner);
  CUDNN_CALL(library, SetTensor4dDescriptor, get(), format, dataType(problem.dtype), n, static_cast<int>(problem.channels), h, 1);
}

ParameterDescription::ParameterDescription(const Library& library, const TensorDescription& tensor, Mode mode) : Owned(library) {
  CUDNN_CALL(library, DeriveBNTensorDescriptor, get(), tensor.get(), mode);
}

ActivationDescription::ActivationDescription(const Library& library, ActivationMode mode) : Owned(library) {
  constexpr double kCoefficient = 1;  // elu's alpha and swish's beta
  CUDNN_CALL(library, SetActivationDescriptor, get(), mode, NanPropagation::Yes, kCoefficient);
}

}  // namespace cuda_batchnorm::cudnn
