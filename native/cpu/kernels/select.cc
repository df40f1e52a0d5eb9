// The choice of instruction set, once per process.

#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace cuda_batchnorm::cpu {

namespace {

#if defined(__x86_64__) || defined(_M_X64)
// Every processor with AVX2 has F16C too, which not every compiler can ask for.
bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

const Kernels& choose(const char* wanted) {
  const auto allowed = [wanted](const char* name) { return wanted == nullptr || std::strcmp(wanted, name) == 0; };
  if (hasAvx512() && allowed("avx512")) return avx512::table();
  if (hasAvx2() && allowed("avx2")) return avx2::table();
  return baseline::table();
}
#else
const Kernels& choose(const char*) { return baseline::table(); }
#endif

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose(std::getenv("CUDA_BATCHNORM_ISA"));
  return chosen;
}

}  // namespace cuda_batchnorm::cpu
