// How many blocks run at once on a multiprocessor: CUDA's own calculation, compared with values worked out from the programming guide's
// limits, and then asked about the kernels of the build: occupancy_test LOGS SOURCES reads what ptxas said of them.
#include <cstdio>

#if __has_include(<cuda_occupancy.h>)

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "occupancy.h"
#include "ptxas_report.h"

using namespace cuda_batchnorm::cuda;

namespace {

constexpr size_t kKiB = 1024;

// In the order of generations(): 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0.
void expect(const Footprint& footprint, const std::vector<int>& blocks) {
  CHECK(blocks.size() == generations().size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const int found = residentBlocks(generations()[i], footprint);
    if (found != blocks[i])
      std::printf("%d.%d: %d blocks, expected %d\n", generations()[i].major, generations()[i].minor, found, blocks[i]);
    CHECK(found == blocks[i]);
  }
}

void checkKnownValues() {
  expect({32, 256, 0, 0}, {4, 8, 6, 6, 8, 8, 6});        // threads
  expect({32, 32, 0, 0}, {16, 32, 16, 24, 32, 32, 24});  // blocks
  expect({64, 256, 0, 0}, {4, 4, 4, 4, 4, 4, 4});        // registers
  expect({128, 512, 0, 0}, {1, 1, 1, 1, 1, 1, 1});
  expect({100, 256, 0, 0}, {2, 2, 2, 2, 2, 2, 2});         // 104 of them, because warps get multiples of 256
  expect({255, 512, 0, 0}, {0, 0, 0, 0, 0, 0, 0});         // more than there are
  expect({32, 256, 0, 33 * kKiB}, {1, 4, 2, 2, 6, 6, 2});  // shared memory, with what CUDA takes of it
  expect({32, 256, 17 * kKiB, 16 * kKiB}, {1, 4, 2, 2, 6, 6, 2});
  expect({32, 512, 0, 64 * kKiB}, {1, 2, 1, 1, 3, 3, 1});
  expect({32, 512, 0, 113 * kKiB}, {0, 1, 0, 0, 2, 2, 0});
  expect({32, 512, 0, 227 * kKiB}, {0, 0, 0, 0, 1, 1, 0});
}

void checkReport() {
  std::istringstream log(
      "ptxas info    : Compiling entry function '_Z3onefLi4E' for 'sm_90'\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem, 560 bytes cmem[0]\n"
      "ptxas info    : Compiling entry function '_Z3onefLi1E' for 'sm_90'\n"
      "ptxas info    : Used 50 registers\n"
      "ptxas info    : Compiling entry function '_Z3onefLi4E' for 'sm_75'\n"
      "ptxas info    : Used 60 registers, 376 bytes cmem[0]\n");
  Report report;
  read(log, report);
  CHECK(report.size() == 3);
  CHECK(most(report, "sm_90", "3one").registers == 50 && most(report, "sm_90", "3one").staticShared == 1024);
  CHECK(most(report, "sm_90", "3one.*Li4E").registers == 40);
  CHECK(most(report, "sm_75", "3one").registers == 60 && most(report, "sm_75", "3one").staticShared == 0);
  CHECK(most(report, "sm_80", "3one").registers == 0);
}

// Of the sources that there are: a build may still have logs of others.
Report reportOf(const std::filesystem::path& logs, const std::filesystem::path& sources) {
  Report report;
  for (const auto& entry : std::filesystem::directory_iterator(sources)) {
    if (entry.path().extension() != ".cu") continue;
    std::ifstream log(logs / (entry.path().filename().string() + ".o.log"));
    read(log, report);
  }
  return report;
}

// The code that runs on a generation: compiled for it, or for an earlier one of the same major version.
std::string codeFor(const Generation& generation, const Report& report) {
  for (int minor = generation.minor; minor >= 0; --minor) {
    std::string architecture = "sm_" + std::to_string(generation.major) + std::to_string(minor);
    if (most(report, architecture, "").registers > 0) return architecture;
  }
  return "";
}

// What the plan builds on: two blocks of 256 threads at once, whatever they are to do, or one of 512. Where a plan says how many blocks
// it counts on, compare that, with the step's threads and shared memory and what its kernel takes by most().
void checkKernels(const Report& report) {
  CHECK(!report.empty());
  for (const Generation& generation : generations()) {
    const std::string architecture = codeFor(generation, report);
    if (architecture.empty()) std::printf("not compiled for %d.%d\n", generation.major, generation.minor);
    for (const auto& [kernel, resources] : report) {
      if (kernel.first != architecture) continue;
      const int blocks = residentBlocks(generation, {resources.registers, 256, resources.staticShared, 0});
      if (blocks < 2) std::printf("%s on %d.%d: %d blocks\n", kernel.second.c_str(), generation.major, generation.minor, blocks);
      CHECK(blocks >= 2);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  checkKnownValues();
  checkReport();
  CHECK(count == 3);
  checkKernels(reportOf(arguments[1], arguments[2]));
}

#else

int main() {
  std::printf("skipped: there is no cuda_occupancy.h\n");
  return 77;
}

#endif
