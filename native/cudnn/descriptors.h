// cuDNN's descriptions of tensors and activations.
#pragma once

#include "../core/problem.h"
#include "library.h"

namespace cuda_batchnorm::cudnn {

// Of the tensors of a problem. Channels last are NHWC; planes are NCHW, each one column.
class TensorDescription : public Owned<TensorDescriptor, &Functions::CreateTensorDescriptor, &Functions::DestroyTensorDescriptor> {
 public:
  TensorDescription(const Library& library, const Problem& problem, Format format);
};

// Of the parameters and statistics that belong to them.
class ParameterDescription : public Owned<TensorDescriptor, &Functions::CreateTensorDescriptor, &Functions::DestroyTensorDescriptor> {
 public:
  ParameterDescription(const Library& library, const TensorDescription& tensor, Mode mode);
};

class ActivationDescription
    : public Owned<ActivationDescriptor, &Functions::CreateActivationDescriptor, &Functions::DestroyActivationDescriptor> {
 public:
  ActivationDescription(const Library& library, ActivationMode mode);
};

}  // namespace cuda_batchnorm::cudnn
