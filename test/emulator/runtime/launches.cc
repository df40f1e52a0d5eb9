// Kernel launches: the limits that CUDA checks, and the run.
#include <cxxabi.h>
#include <dlfcn.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "../grid.h"
#include "streams.h"

namespace cuda_batchnorm::emulator {
namespace {

constexpr unsigned kLargestCluster = 16;  // where the kernel asks for it

// Where the text's last balanced "<...>" or "(...)" that ends at `end` begins.
size_t openingOf(const std::string& text, size_t end) {
  int depth = 0;
  for (size_t i = end; i-- > 0;) {
    if (text[i] == ')' || text[i] == '>') ++depth;
    if ((text[i] == '(' || text[i] == '<') && --depth == 0) return i;
  }
  return 0;
}

// "void ns::scale<float, 2>(ns::Arguments<float>)" is "scale<float, 2>".
std::string shortened(std::string name) {
  if (!name.empty() && name.back() == ')') name.erase(openingOf(name, name.size()));
  size_t end = name.size();
  if (!name.empty() && name.back() == '>') end = openingOf(name, end);
  const size_t before = name.find_last_of(": ", end == 0 ? 0 : end - 1);
  return before == std::string::npos ? name : name.substr(before + 1);
}

std::string kernelName(const void* kernel) {
  Dl_info info = {};
  if (dladdr(kernel, &info) == 0 || info.dli_sname == nullptr || info.dli_saddr != kernel) {
    char text[64];
    std::snprintf(text, sizeof text, "function at %p", kernel);
    return text;
  }
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), &std::free);
  return status == 0 ? shortened(demangled.get()) : info.dli_sname;
}

KernelSettings settingsOf(const Device& device, const void* kernel) {
  const auto found = device.kernels.find(kernel);
  return found == device.kernels.end() ? KernelSettings{} : found->second;
}

[[noreturn]] void refuse(cudaError_t code, const std::string& what, uint64_t value, uint64_t limit) {
  throw Failure(code, what + ": " + std::to_string(value) + ", the limit is " + std::to_string(limit));
}

uint32_t oneDimension(const dim3& size, const char* what) {
  if (size.x == 0 || size.y == 0 || size.z == 0) throw Failure(cudaErrorInvalidConfiguration, std::string("an empty ") + what);
  if (size.y != 1 || size.z != 1) throw Failure(cudaErrorInvalidConfiguration, "the emulator knows one dimension");
  return size.x;
}

GridShape shapeOf(const cudaLaunchConfig_t& config) {
  GridShape shape;
  shape.grid = oneDimension(config.gridDim, "grid");
  shape.block = oneDimension(config.blockDim, "block");
  shape.sharedBytes = static_cast<uint32_t>(config.dynamicSmemBytes);
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttributeValue& value = config.attrs[i].val;
    if (config.attrs[i].id == cudaLaunchAttributeCooperative) shape.cooperative = value.cooperative != 0;
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) {
      shape.cluster = oneDimension({value.clusterDim.x, value.clusterDim.y, value.clusterDim.z}, "cluster");
    }
  }
  return shape;
}

int clustersAtOnce(const Gpu& gpu, const GridShape& shape) { return clustersAtOnce(gpu, shape.cluster, shape.block, shape.sharedBytes); }

void requireLimits(const Gpu& gpu, const KernelSettings& settings, const GridShape& shape) {
  const unsigned largestCluster = !gpu.clusters() ? 1 : settings.largeClusters ? kLargestCluster : kPortableCluster;
  if (shape.grid > INT_MAX) refuse(cudaErrorInvalidConfiguration, "blocks", shape.grid, INT_MAX);
  if (shape.block > kThreadsPerBlock) refuse(cudaErrorInvalidConfiguration, "threads of a block", shape.block, kThreadsPerBlock);
  if (shape.sharedBytes > settings.sharedBytes)
    refuse(cudaErrorInvalidValue, "bytes of shared memory", shape.sharedBytes, settings.sharedBytes);
  if (shape.cluster > largestCluster) refuse(cudaErrorInvalidClusterSize, "blocks of a cluster", shape.cluster, largestCluster);
  if (shape.grid % shape.cluster != 0) throw Failure(cudaErrorInvalidConfiguration, "the grid is not made of whole clusters");
  const uint64_t atOnce = uint64_t{shape.cluster} * static_cast<uint64_t>(clustersAtOnce(gpu, shape));
  if (shape.cooperative && shape.grid > atOnce)
    refuse(cudaErrorCooperativeLaunchTooLarge, "blocks of a cooperative grid", shape.grid, atOnce);
}

void note(const Turn& turn, const std::string& name, const Touched& touched) {
  Driver& state = driver();
  const std::lock_guard<std::mutex> lock(state.mutex);
  for (const uint64_t id : touched.read) state.ledger.used(id, turn.device.index, turn.use(name, false));
  for (const uint64_t id : touched.written) state.ledger.used(id, turn.device.index, turn.use(name, true));
}

void run(const Turn& turn, const std::string& name, const GridShape& shape, const std::function<void()>& threadBody) {
  Touched touched;
  std::exception_ptr fault;
  try {
    runGrid(name.c_str(), shape, threadBody, turn.seed, &touched);
  } catch (const Fault&) {
    fault = std::current_exception();
  }
  // That it did not wait may be why it went wrong, so this comes first.
  note(turn, name, touched);
  if (fault != nullptr) std::rethrow_exception(fault);
}

}  // namespace

cudaError_t launchKernel(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> threadBody) {
  return call([&](Call& call) {
    const std::shared_ptr<Stream> stream = call.streamOfDevice(config.stream);
    if (config.dynamicSmemBytes > UINT32_MAX) refuse(cudaErrorInvalidValue, "bytes of shared memory", config.dynamicSmemBytes, UINT32_MAX);
    const GridShape shape = shapeOf(config);
    requireLimits(*call.device.gpu, settingsOf(call.device, kernel), shape);
    call.strike(FailureKind::Launch, cudaErrorLaunchOutOfResources);
    const std::string name = kernelName(kernel);
    submit(call, stream, {name, [=, body = std::move(threadBody)](const Turn& turn) { run(turn, name, shape, body); }});
  });
}

}  // namespace cuda_batchnorm::emulator

using namespace cuda_batchnorm::emulator;

cudaError_t cudaFuncSetAttribute(const void* func, cudaFuncAttribute attr, int value) {
  return call([&](Call& call) {
    required(static_cast<const char*>(func), "func");
    KernelSettings& settings = call.device.kernels[func];
    if (attr == cudaFuncAttributeMaxDynamicSharedMemorySize) {
      const size_t limit = call.device.gpu->sharedPerBlock;
      if (value < 0 || static_cast<size_t>(value) > limit) {
        refuse(cudaErrorInvalidValue, "bytes of shared memory", static_cast<uint64_t>(value), limit);
      }
      settings.sharedBytes = static_cast<size_t>(value);
    } else if (attr == cudaFuncAttributeNonPortableClusterSizeAllowed) {
      settings.largeClusters = value != 0;
    } else if (attr != cudaFuncAttributePreferredSharedMemoryCarveout) {
      throw Failure(cudaErrorInvalidValue, "attribute");
    }
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attr, const void* func) {
  return call([&](Call& call) {
    cudaFuncAttributes& attributes = required(attr, "attr");
    const KernelSettings settings = settingsOf(call.device, func);
    attributes = {};
    attributes.maxThreadsPerBlock = kThreadsPerBlock;
    attributes.numRegs = kRegistersPerThread;
    attributes.ptxVersion = attributes.binaryVersion = 10 * call.device.gpu->major + call.device.gpu->minor;
    attributes.maxDynamicSharedSizeBytes = static_cast<int>(settings.sharedBytes);
    attributes.preferredShmemCarveout = -1;
    attributes.nonPortableClusterSizeAllowed = settings.largeClusters ? 1 : 0;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* numBlocks, const void* func, int blockSize, size_t dynamicSMemSize) {
  return call([&](Call& call) {
    required(static_cast<const char*>(func), "func");
    if (blockSize <= 0) throw Failure(cudaErrorInvalidValue, "blockSize");
    required(numBlocks, "numBlocks") = blocksPerMultiprocessor(*call.device.gpu, static_cast<uint32_t>(blockSize), dynamicSMemSize);
  });
}

cudaError_t cudaOccupancyMaxActiveClusters(int* numClusters, const void* func, const cudaLaunchConfig_t* launchConfig) {
  return call([&](Call& call) {
    required(static_cast<const char*>(func), "func");
    const Gpu& gpu = *call.device.gpu;
    if (!gpu.clusters()) throw Failure(cudaErrorInvalidClusterSize, "this GPU has no clusters");
    const GridShape shape = shapeOf(required(launchConfig, "launchConfig"));
    required(numClusters, "numClusters") = clustersAtOnce(gpu, shape);
  });
}
