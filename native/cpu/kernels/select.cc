// The choice of instruction set, once per process.

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../core/error.h"
#include "kernels.h"

namespace cuda_batchnorm::cpu {

namespace {

#if (defined(__x86_64__) || defined(_M_X64)) && !defined(CUDA_BATCHNORM_BASELINE_ONLY)
#define HAS_AVX_KERNELS
// Every processor with AVX2 has F16C too, which not every compiler can ask for.
bool hasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

// What runs here, best first.
std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> tables;
#ifdef HAS_AVX_KERNELS
  if (hasAvx512()) tables.push_back(&avx512::table());
  if (hasAvx2()) tables.push_back(&avx2::table());
#endif
  tables.push_back(&baseline::table());
  return tables;
}

const Kernels& choose() {
  const std::vector<const Kernels*> tables = usable();
  const char* wanted = std::getenv("CUDA_BATCHNORM_ISA");
  if (wanted == nullptr || *wanted == '\0') return *tables.front();
  std::string names;
  for (const Kernels* table : tables) {
    if (std::strcmp(table->name, wanted) == 0) return *table;
    names += (names.empty() ? "" : ", ") + std::string(table->name);
  }
  throw Error(ErrorCode::InvalidArgument,
              "Expected one of " + names + " for the environment variable CUDA_BATCHNORM_ISA but received '" + wanted + "'");
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace cuda_batchnorm::cpu
