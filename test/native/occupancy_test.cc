// How many blocks run at once on a multiprocessor: CUDA's own calculation, compared with values worked out from the programming guide's
// limits, and then asked about the kernels of the build: occupancy_test LOGS SOURCES reads what ptxas said of them.
#include <cstdio>

#if __has_include(<cuda_occupancy.h>)

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "../../native/cuda/plan.h"
#include "occupancy.h"
#include "ptxas_report.h"

using namespace cuda_batchnorm;
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

DeviceProperties propertiesOf(const Generation& generation) {
  DeviceProperties properties;
  properties.major = generation.major;
  properties.minor = generation.minor;
  properties.multiprocessors = 100;
  properties.sharedPerBlock = generation.sharedPerBlock;
  properties.sharedPerMultiprocessor = generation.shared;
  properties.sharedReserved = generation.reservedPerBlock;
  properties.threadsPerMultiprocessor = generation.threads;
  properties.registersPerMultiprocessor = 65536;
  properties.bytesPerSecond = 1e12;
  return properties;
}

// Problems of all kinds: each kernel, small and large, first and last.
std::vector<Request> requests() {
  std::vector<Request> all;
  for (const Operation operation : {Operation::TrainingForward, Operation::InferenceForward, Operation::Backward}) {
    for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
      for (const int64_t channels : {64, 257, 512}) {
        for (const int64_t inner : {1, 49, 196, 784, 3136, 12544}) {
          Request request;
          request.operation = operation;
          request.problem.outer = inner == 1 ? 32 * 784 : 32;
          request.problem.channels = channels;
          request.problem.inner = inner;
          request.problem.dtype = dtype;
          request.running = request.gradWeight = request.gradBias = true;
          all.push_back(request);
        }
      }
    }
  }
  return all;
}

// As many blocks run at once as the plan counts on: its cooperative grids depend on it.
void checkPlans(const Generation& generation, const std::string& architecture, const Report& report) {
  std::map<std::string, Resources> known;
  const auto resourcesOf = [&](const std::string& kernel) {
    const auto found = known.find(kernel);
    if (found != known.end()) return found->second;
    return known[kernel] = most(report, architecture, std::to_string(kernel.size()) + kernel);
  };
  for (const Request& request : requests()) {
    for (const char* choice : {"", "team=block", "team=grid", "threads=128", "threads=512,kept=0"}) {
      const Plan made = plan(request, propertiesOf(generation), Choice::parse(choice));
      for (int i = 0; i < made.count; ++i) {
        const Step& step = made.steps[static_cast<size_t>(i)];
        const std::string kernel = name(step.kernel);
        const Resources resources = resourcesOf(kernel);
        CHECK(resources.registers > 0);
        const int blocks = residentBlocks(
            generation, {resources.registers, static_cast<int>(step.shape.block), resources.staticShared, step.shape.sharedBytes});
        if (blocks < static_cast<int>(step.blocksPerProcessor)) {
          std::printf("%s on %d.%d: %d blocks, the plan counts on %u\n", kernel.c_str(), generation.major, generation.minor, blocks,
                      step.blocksPerProcessor);
        }
        CHECK(blocks >= static_cast<int>(step.blocksPerProcessor));
      }
    }
  }
}

void checkKernels(const Report& report) {
  CHECK(!report.empty());
  for (const Generation& generation : generations()) {
    const std::string architecture = codeFor(generation, report);
    if (architecture.empty()) {
      std::printf("not compiled for %d.%d\n", generation.major, generation.minor);
    } else {
      checkPlans(generation, architecture, report);
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
