// What cuDNN's documents ask of the calls of batch normalization.
#pragma once

#include "arithmetic.h"
#include "objects.h"

namespace cuda_batchnorm::stand_in {

// The problem that a call is about. Complains of descriptors that do not fit each other and of operations that are not supported.
// Descriptors of x, y and their kind are `tensors`, null where the operation does without.
Problem problemOf(cudnn::Mode mode, cudnn::Ops ops, cudnn::TensorDescriptor x, cudnn::ActivationDescriptor activation);
void requireLike(const Problem& problem, cudnn::TensorDescriptor descriptor, const char* name);
void requireParameters(const Problem& problem, cudnn::TensorDescriptor descriptor);
void requireEpsilon(double epsilon);

size_t workspaceBytes(const Problem& problem);
size_t reserveBytes(const Problem& problem);
void requireSpace(const void* memory, size_t bytes, size_t needed, const char* name);

Blend blendOf(const void* alpha, const void* beta, cudnn::DataType type);

// What a forward pass left for its backward pass, known by where it saved its statistics and by its reserve space.
void remember(const Problem& problem, const void* savedMean, const void* reserve);
void requireRemembered(const Problem& problem, const void* savedMean, const void* reserve);

}  // namespace cuda_batchnorm::stand_in
