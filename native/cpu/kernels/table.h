// The one source behind every instruction set: a file that defines KERNEL_NAMESPACE and includes this is a set of kernels.

#include "columns.h"
#include "conversion.h"
#include "kernels.h"
#include "runs.h"

#define KERNEL_NAME_OF(name) #name
#define KERNEL_NAME(name) KERNEL_NAME_OF(name)

namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE {

template <class S>
constexpr Kernels::ForDType forDType() {
  return {{runMoments<S>, runForward<S>, runGradientSums<S>, runGradient<S>},
          {columnMoments<S>, columnForward<S>, columnGradientSums<S>, columnGradient<S>},
          {convertRun<float, S>, convertRun<double, S>, convertRun<Float16, S>, convertRun<BFloat16, S>}};
}

const Kernels& table() {
  static constexpr Kernels kTable = {KERNEL_NAME(KERNEL_NAMESPACE),
                                     {forDType<float>(), forDType<double>(), forDType<Float16>(), forDType<BFloat16>()}};
  return kTable;
}

}  // namespace cuda_batchnorm::cpu::KERNEL_NAMESPACE
