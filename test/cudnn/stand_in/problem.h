// What all calls of batch normalization have in common: which operation on which tensor, checked.
#pragma once

#include "arithmetic.h"
#include "calls.h"
#include "objects.h"

namespace cuda_batchnorm::cudnn {

struct Problem {
  Mode mode = Mode::Spatial;
  Ops ops = Ops::Plain;
  Shape x;
  NanPropagation nan = NanPropagation::No;

  Groups groups() const { return {x, mode}; }
  bool fused() const { return ops != Ops::Plain; }
  bool adds() const { return ops == Ops::AddActivation; }

  size_t forwardWorkspaceBytes() const;
  size_t backwardWorkspaceBytes() const;
  size_t reserveBytes() const;

  void describe(Details& details) const;
};

// Complains about enums and descriptors, and refuses what cuDNN does not have.
Problem problemOf(Mode mode, Ops ops, TensorDescriptor x, ActivationDescriptor activation);

// A tensor of x's type, layout and shape.
void requireLikeX(const Problem& problem, TensorDescriptor descriptor, const char* name);

void requireParameters(const Problem& problem, TensorDescriptor descriptor);

// Of a handle that lives and belongs to the current device.
HandleStruct requireHandle(Handle handle);

}  // namespace cuda_batchnorm::cudnn
